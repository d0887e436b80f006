import { useEffect, useState } from 'react'

/** The reader's clock in Unix seconds, read again each second. */
export function useClock(): number {
  const [now, setNow] = useState(() => Date.now() / 1000)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), 1000)
    return () => clearInterval(timer)
  }, [])
  return now
}
