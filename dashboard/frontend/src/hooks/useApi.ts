import { keepPreviousData, QueryClient, useMutation, useQuery } from '@tanstack/react-query'
import { type BreakdownQuery, getBreakdown } from '../api/breakdown'
import { cancelRequest } from '../api/cancel'
import { ApiError } from '../api/http'
import { saveName } from '../api/names'
import { getRequest, getRequests, type RequestsQuery } from '../api/requests'
import { getSeries, type SeriesQuery } from '../api/series'
import { getTargets } from '../api/targets'
import { DEFAULT_RANGE, openingRange, type TimeRange } from '../lib/timeRange'

const MINUTE_MS = 60_000

/** Answers are kept for a minute after they were last shown. A question that is refused as wrong is not asked again. */
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

/** Several questions for charts, answered together: none is shown without the others. */
export function useSeriesSet(queries: readonly SeriesQuery[], { every }: Refreshing) {
  return useQuery({
    queryKey: ['series set', queries],
    queryFn: ({ signal }) => Promise.all(queries.map((query) => getSeries(query, signal))),
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

/** A page of finished requests. It is asked for once: what comes later the event stream tells. */
export function useRequests(query: RequestsQuery) {
  return useQuery({
    queryKey: ['requests', query],
    queryFn: ({ signal }) => getRequests(query, signal),
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  })
}

/** One finished request, which never changes. */
export function useRequest(id: number) {
  return useQuery({
    queryKey: ['request', id],
    queryFn: ({ signal }) => getRequest(id, signal),
    placeholderData: () => undefined,
    staleTime: Number.POSITIVE_INFINITY,
  })
}

/** What the history shows where the address names no time; null until it is known. It stays as long as the page does. */
export function useOpeningRange(): TimeRange | null {
  const { data, isError } = useQuery({
    queryKey: ['opening range'],
    queryFn: async ({ signal }) => {
      const { store } = await getTargets(signal)
      return openingRange(store.oldest_sample, Date.now() / 1000)
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
  return data ?? (isError ? DEFAULT_RANGE : null)
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

/** Gives a client or a session a name. */
export function useSaveName() {
  return useMutation({ mutationFn: saveName })
}

function milliseconds(seconds: number | false): number | false {
  return seconds === false ? false : seconds * 1000
}
