import { keepPreviousData, QueryClient, useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query'
import { type BreakdownQuery, getBreakdown } from '../api/breakdown'
import { cancelRequest } from '../api/cancel'
import { ApiError } from '../api/http'
import { getRequest, getRequests, type RequestsQuery } from '../api/requests'
import { getSeries, type SeriesQuery } from '../api/series'
import { getTargets } from '../api/targets'

const MINUTE_MS = 60_000

/** Answers are kept for a minute after nobody shows them. What was wrong with a question is not asked twice. */
export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 2000,
        gcTime: MINUTE_MS,
        retry: (failures, error) =>
          failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
        placeholderData: keepPreviousData,
      },
    },
  })
}

interface Refreshing {
  /** How often to ask again, in seconds; false for never. See `refreshSeconds`. */
  every: number | false
}

/** Charts of a time. While another time is loaded the one before stays (`isPlaceholderData`). */
export function useSeries(query: SeriesQuery, { every }: Refreshing) {
  return useQuery({
    queryKey: ['series', query],
    queryFn: ({ signal }) => getSeries(query, signal),
    refetchInterval: milliseconds(every),
  })
}

/** Sums by client, session, model … of a time. */
export function useBreakdown(query: BreakdownQuery, { every }: Refreshing) {
  return useQuery({
    queryKey: ['breakdown', query],
    queryFn: ({ signal }) => getBreakdown(query, signal),
    refetchInterval: milliseconds(every),
  })
}

/** Finished requests, a page at a time: `fetchNextPage` while `hasNextPage`. */
export function useRequests(query: Omit<RequestsQuery, 'after'>) {
  return useInfiniteQuery({
    queryKey: ['requests', query],
    queryFn: ({ pageParam, signal }) =>
      getRequests(pageParam === null ? query : { ...query, after: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
  })
}

export function useRequest(id: number) {
  return useQuery({ queryKey: ['request', id], queryFn: ({ signal }) => getRequest(id, signal) })
}

export function useTargets() {
  return useQuery({
    queryKey: ['targets'],
    queryFn: ({ signal }) => getTargets(signal),
    refetchInterval: 5000,
  })
}

/** Ends a running or waiting request. */
export function useCancel() {
  return useMutation({ mutationFn: cancelRequest })
}

function milliseconds(seconds: number | false): number | false {
  return seconds === false ? false : seconds * 1000
}
