import { useCallback, useMemo } from 'react'
import { DEFAULT_RANGE, parseRange, rangeQuery, type TimeRange } from '../lib/timeRange'
import { setSearch, useLocation } from './useLocation'

/** The time that the page's address names, and a way to change it. `fallback` has to stay the same object. */
export function useTimeRange(fallback: TimeRange = DEFAULT_RANGE): [TimeRange, (range: TimeRange) => void] {
  const { search } = useLocation()
  const range = useMemo(() => parseRange(search, fallback), [search, fallback])
  const setRange = useCallback((next: TimeRange) => {
    const { from, to } = rangeQuery(next)
    setSearch({ from, to: to ?? null })
  }, [])
  return [range, setRange]
}
