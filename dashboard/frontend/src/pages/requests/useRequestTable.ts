import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type { FinishedRequest, RequestsPage } from '../../api/requests'
import { useRequests } from '../../hooks/useApi'
import { useLive, useNames } from '../../hooks/useLive'
import { type Followed, follow, newestId } from '../../lib/following'
import { isNewestFirst, matches, requestsQuery, type TableQuery } from '../../lib/requestQuery'
import { useCalm } from './useCalm'

const CALM_MS = 500

export interface RequestTableState extends Followed {
  page: RequestsPage | undefined
  error: Error | null
  /** Whether the rows shown still answer the question before this one, whose answer is on its way. */
  isOfBefore: boolean
  isLoading: boolean
  reload: () => void
}

/** What the table shows: a loaded page and, unless `isHeld`, what has come since. */
export function useRequestTable(query: TableQuery, isHeld: boolean): RequestTableState {
  const { data, error, isPlaceholderData, isFetching, refetch } = useRequests(requestsQuery(query))
  const names = useNames()
  const told = useLive((state) => state.requests)
  const live = useCalm(told, CALM_MS)
  const isLive = isNewestFirst(query)
  const loaded = data?.requests ?? NONE
  const heldAt = useHeldAt(loaded, live, isHeld && data !== undefined)
  const followed = useMemo(
    () =>
      isLive && !isPlaceholderData
        ? follow({
            loaded,
            live,
            matches: (request) => matches(request, query, Date.now() / 1000, names),
            heldAt,
          })
        : { rows: loaded, unseen: 0, isOld: false },
    [isLive, isPlaceholderData, loaded, live, query, heldAt, names],
  )
  const reload = useCallback(() => void refetch(), [refetch])
  const mustReload = followed.isOld && !isFetching
  useEffect(() => {
    if (mustReload) reload()
  }, [mustReload, reload])
  return {
    ...followed,
    page: data,
    error,
    isOfBefore: isPlaceholderData,
    isLoading: isFetching,
    reload,
  }
}

const NONE: readonly FinishedRequest[] = []

/** The newest id that was known when new requests began to be held back; null while they are not held back. */
function useHeldAt(
  loaded: readonly FinishedRequest[],
  live: readonly FinishedRequest[],
  isHeld: boolean,
): number | null {
  const [heldAt, setHeldAt] = useState<number | null>(null)
  const latest = useRef({ loaded, live })
  latest.current = { loaded, live }
  useEffect(() => {
    const known = latest.current
    setHeldAt(isHeld ? Math.max(newestId(known.loaded), newestId(known.live.slice(0, 1))) : null)
  }, [isHeld])
  return heldAt
}
