/** What the usage is split by and narrowed down to, as it stands in the address, and where a row of it leads. Pure. */

import type { BreakdownBy, BreakdownQuery, BreakdownRow } from '../api/breakdown'
import { queryString } from '../api/http'
import { rangeQuery, type TimeRange } from './timeRange'

export const USAGE_RANGE: TimeRange = { kind: 'last', seconds: 86_400 }

/** What the usage can be split by, in the order of the buttons. `deeper` is what a single row is then best split by. */
export const SPLITS: readonly { by: BreakdownBy; name: string; deeper: BreakdownBy }[] = [
  { by: 'client', name: 'Client', deeper: 'session' },
  { by: 'session', name: 'Session', deeper: 'agent' },
  { by: 'agent', name: 'Agent', deeper: 'model' },
  { by: 'model', name: 'Model', deeper: 'client' },
  { by: 'lane', name: 'Lane', deeper: 'client' },
  { by: 'path', name: 'Path', deeper: 'client' },
  { by: 'hour', name: 'Hour', deeper: 'client' },
  { by: 'day', name: 'Day', deeper: 'hour' },
]

const FILTERS = ['client', 'session', 'agent', 'model', 'lane', 'path'] as const
export type UsageFilter = (typeof FILTERS)[number]

/** How many rows are asked for: by hour or day as many as the service gives (500 hours are 20 days), else the largest ones. */
const MOST_ROWS = 500
const USUAL_ROWS = 50
const SECONDS: Partial<Record<BreakdownBy, number>> = { hour: 3600, day: 86_400 }

export interface UsageQuery {
  by: BreakdownBy
  filters: readonly { name: UsageFilter; value: string }[]
  target: string
}

/** Whatever makes no sense is left out: an address is typed, shortened and shared by people. */
export function parseUsageQuery(search: URLSearchParams): UsageQuery {
  const target = search.get('target') ?? ''
  return {
    by: SPLITS.find(({ by }) => by === search.get('by'))?.by ?? 'client',
    filters: FILTERS.flatMap((name) =>
      [...new Set(search.getAll(name))]
        .filter((value) => value !== '' && value.length <= 300)
        .map((value) => ({ name, value })),
    ),
    target: /^\d{1,9}$/.test(target) ? target : '',
  }
}

function filterQuery({ filters, target }: UsageQuery): Record<string, string | string[]> {
  const found: Record<string, string[]> = {}
  for (const { name, value } of filters) found[name] = [...(found[name] ?? []), value]
  return { ...found, ...(target === '' ? {} : { target }) }
}

export function breakdownQuery(query: UsageQuery, range: TimeRange): BreakdownQuery {
  return {
    by: query.by,
    ...rangeQuery(range),
    ...filterQuery(query),
    limit: isTime(query.by) ? MOST_ROWS : USUAL_ROWS,
  }
}

/** What is shown as a file, with all rows that the service gives. */
export function usageCsv(query: UsageQuery, range: TimeRange): string {
  return `/api/breakdown${queryString({ ...breakdownQuery(query, range), limit: MOST_ROWS, format: 'csv' })}`
}

export function isTime(by: BreakdownBy): boolean {
  return Object.hasOwn(SECONDS, by)
}

type Step = { filters: Record<string, string | string[]>; window: { from: string; to?: string } }

/** The filters and the time that hold this row and nothing else; null for requests that named none. */
function narrowed(query: UsageQuery, range: TimeRange, key: BreakdownRow['key']): Step | null {
  if (key === null) return null
  const seconds = SECONDS[query.by]
  const filters = filterQuery(query)
  if (seconds === undefined)
    return { filters: { ...filters, [query.by]: String(key) }, window: rangeQuery(range) }
  return { filters, window: { from: String(key), to: String(Number(key) + seconds) } }
}

/** The requests of a row; `isWasted`: only those that were for nothing. */
export function requestsAddress(
  query: UsageQuery,
  range: TimeRange,
  key: BreakdownRow['key'],
  { isWasted = false } = {},
): string | null {
  const step = narrowed(query, range, key)
  if (step === null) return null
  const outcome = isWasted ? ['failed', 'aborted'] : []
  return `/requests${queryString({ ...step.filters, outcome, ...step.window })}`
}

/** The same row, split further. */
export function deeperAddress(
  query: UsageQuery,
  range: TimeRange,
  key: BreakdownRow['key'],
): { by: BreakdownBy; href: string } | null {
  const step = narrowed(query, range, key)
  const deeper = SPLITS.find(({ by }) => by === query.by)?.deeper
  if (step === null || deeper === undefined) return null
  return { by: deeper, href: `/usage${queryString({ by: deeper, ...step.filters, ...step.window })}` }
}
