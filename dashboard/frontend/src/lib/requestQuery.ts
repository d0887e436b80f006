/** Which finished requests are shown, as it stands in the address: with the names of the API, so that any page can link here. */

import { type Query, queryString } from '../api/http'
import type { FinishedRequest, Outcome, RequestSort, RequestsQuery } from '../api/requests'
import { givenName, type NameBook, NO_NAMES } from './names'
import { parseRange, rangeQuery, type TimeRange } from './timeRange'

/** Filters with exact values, in the order in which they are shown. */
export const FILTER_NAMES = [
  'client',
  'program',
  'session',
  'agent',
  'model',
  'lane',
  'path',
  'method',
  'status',
  'outcome',
  'target',
] as const
export type FilterName = (typeof FILTER_NAMES)[number]

export const OUTCOMES: readonly Outcome[] = ['ok', 'failed', 'aborted', 'refused']

/** What the table can be sorted by, in the order in which it is offered, and how that is called. */
export const SORT_WORDS: Record<RequestSort, string> = {
  ended: 'time of the end',
  duration: 'duration',
  first_byte: 'time to the first byte',
  waited: 'time queued',
  tokens: 'tokens',
  cost_usd: 'cost',
  request_bytes: 'size of the request',
  response_bytes: 'size of the answer',
  attempts: 'attempts',
}
export const SORTS = Object.keys(SORT_WORDS) as readonly RequestSort[]

export const PAGE_SIZE = 50

export interface TableQuery {
  filters: Record<FilterName, readonly string[]>
  search: string
  /** null: everything that is kept. */
  range: TimeRange | null
  sort: RequestSort
  order: 'asc' | 'desc'
  after: string | null
  /** The row that is open. */
  open: number | null
}

const ANY_TIME: TimeRange = { kind: 'last', seconds: 0 }

/** Whatever makes no sense is left out: an address is typed, shortened and shared by people. */
export function parseTableQuery(parameters: URLSearchParams): TableQuery {
  const range = parseRange(parameters, ANY_TIME)
  const sort = SORTS.find((name) => name === parameters.get('sort'))
  const open = parameters.get('open') ?? ''
  return {
    filters: parseFilters(parameters),
    search: (parameters.get('search') ?? '').trim().slice(0, 300),
    range: range === ANY_TIME ? null : range,
    sort: sort ?? 'ended',
    order: parameters.get('order') === 'asc' ? 'asc' : 'desc',
    after: parameters.get('after') || null,
    open: /^\d{1,15}$/.test(open) ? Number(open) : null,
  }
}

function parseFilters(parameters: URLSearchParams): TableQuery['filters'] {
  const filters: Partial<Record<FilterName, readonly string[]>> = {}
  for (const name of FILTER_NAMES) filters[name] = sensible(name, parameters.getAll(name))
  return filters as TableQuery['filters']
}

const ALLOWED: Partial<Record<FilterName, RegExp>> = {
  status: /^\d(\d\d|xx)$/,
  outcome: /^(ok|failed|aborted|refused)$/,
  target: /^\d{1,9}$/,
}

/** The service takes at most 50 values of 300 characters, and one target. */
function sensible(name: FilterName, values: readonly string[]): string[] {
  const right = values.filter(
    (value) => value !== '' && value.length <= 300 && (ALLOWED[name]?.test(value) ?? true),
  )
  return [...new Set(right)].slice(0, name === 'target' ? 1 : 50)
}

/** The question to the service. */
export function requestsQuery(query: TableQuery): RequestsQuery {
  return {
    ...filterQuery(query),
    limit: PAGE_SIZE,
    ...(query.after === null ? {} : { after: query.after }),
  }
}

/** Everything that matches, as a file; the service gives at most 10,000. */
export function csvUrl(query: TableQuery): string {
  return `/api/requests${queryString({ ...filterQuery(query), format: 'csv' })}`
}

function filterQuery({ filters, search, range, sort, order }: TableQuery): Query {
  return { ...filters, search, ...(range === null ? {} : rangeQuery(range)), sort, order }
}

/** Whether new requests belong on top of what is shown. */
export function isNewestFirst({ range, sort, order, after }: TableQuery): boolean {
  return sort === 'ended' && order === 'desc' && after === null && range?.kind !== 'between'
}

/** Whether the service would list this request, at this time (Unix seconds). */
export function matches(
  request: FinishedRequest,
  { filters, search, range }: TableQuery,
  now: number,
  names: NameBook = NO_NAMES,
): boolean {
  return (
    FILTER_NAMES.every((name) => isOneOf(request, name, filters[name])) &&
    isFound(request, search, names) &&
    isWithin(request.ended, range, now)
  )
}

function isOneOf(request: FinishedRequest, name: FilterName, allowed: readonly string[]): boolean {
  if (allowed.length === 0) return true
  const value = request[name]
  if (value === null) return false
  const text = String(value)
  return allowed.includes(text) || (name === 'status' && allowed.includes(`${text[0]}xx`))
}

function isFound(request: FinishedRequest, search: string, names: NameBook): boolean {
  const { request_id, session, client, path, model, model_asked, error, program } = request
  const given = [givenName(names, 'client', client), givenName(names, 'session', session)]
  const wanted = search.toLowerCase()
  return [request_id, session, client, path, model, model_asked, error, program, ...given].some(
    (text) => wanted === '' || (text?.toLowerCase().includes(wanted) ?? false),
  )
}

function isWithin(ended: number, range: TimeRange | null, now: number): boolean {
  if (range === null) return true
  return range.kind === 'last' ? ended >= now - range.seconds : ended >= range.from && ended < range.to
}
