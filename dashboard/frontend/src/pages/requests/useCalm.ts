import { useEffect, useRef, useState } from 'react'

/** A value that changes often, taken over only every so many milliseconds. */
export function useCalm<Value>(value: Value, everyMs: number): Value {
  const [calm, setCalm] = useState(value)
  const latest = useRef(value)
  latest.current = value
  useEffect(() => {
    const timer = setInterval(() => setCalm(latest.current), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return calm
}
