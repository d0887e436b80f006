/** Sums of usage: shares, what was for nothing, and all that in sentences. Pure. */

import type { Breakdown, BreakdownBy, BreakdownRow } from '../api/breakdown'
import { givenName, type NameBook, NO_NAMES } from './names'
import { formatCompact, formatCount, formatMoney, formatShare, plural } from './numbers'
import { formatWhen } from './times'
import { totalTokens } from './tokens'

const NAMELESS: Record<BreakdownBy, string> = {
  client: 'no client named',
  session: 'no session',
  agent: 'no agent',
  model: 'no model',
  lane: 'no lane',
  path: 'no path',
  hour: 'unknown hour',
  day: 'unknown day',
}

const utcDay = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  timeZone: 'UTC',
})

/** What a row is of, by the name that people gave it if they did. Days are those of UTC, hours are shown in the reader's zone. `now` in Unix seconds. */
export function keyInWords(
  by: BreakdownBy,
  key: BreakdownRow['key'],
  now: number,
  names: NameBook = NO_NAMES,
): string {
  if (key === null) return NAMELESS[by]
  if (by === 'day') return utcDay.format(new Date(Number(key) * 1000)).replace(',', '')
  if (by === 'hour') return formatWhen(Number(key), now)
  const given = by === 'client' || by === 'session' ? givenName(names, by, String(key)) : null
  return given ?? String(key)
}

/** What the shares in the table are shares of: the cost, or the number of requests if nothing cost anything. */
export function shareOf({ cost_usd }: Pick<BreakdownRow, 'cost_usd'>): 'cost' | 'requests' {
  return cost_usd > 0 ? 'cost' : 'requests'
}

export interface Share {
  /** Of the total, 0 to 1. */
  all: number
  /** That part of `all` which was for nothing. */
  wasted: number
}

export function share(row: BreakdownRow, total: BreakdownRow): Share {
  const [whole, part, wasted] =
    shareOf(total) === 'cost'
      ? [total.cost_usd, row.cost_usd, row.wasted.cost_usd]
      : [total.requests, row.requests, row.wasted.requests]
  if (!whole) return { all: 0, wasted: 0 }
  const all = bounded(part / whole)
  return { all, wasted: Math.min(all, bounded(wasted / whole)) }
}

/** How much of the input came from the cache, 0 to 1; null if there was none. */
export function cachedShare({ tokens }: Pick<BreakdownRow, 'tokens'>): number | null {
  const input = tokens.input + tokens.cache_read + tokens.cache_write
  return input === 0 ? null : tokens.cache_read / input
}

/** What was for nothing, what that cost, and what had to be tried again, in sentences. */
export function wasteSentences(total: BreakdownRow): string[] {
  return [...lossSentences(total), ...retrySentences(total)]
}

function lossSentences({ requests, failed, aborted, wasted, cost_usd }: BreakdownRow): string[] {
  if (wasted.requests === 0) return ['No request failed, and no client left before its answer was complete.']
  const ways = [
    failed > 0 ? `${formatCount(failed)} failed` : '',
    aborted > 0 ? `${formatCount(aborted)} broken off by the client` : '',
  ].filter((way) => way !== '')
  const part = formatShare(wasted.requests / Math.max(1, requests))
  const first = `${formatCount(wasted.requests)} of ${plural(requests, 'request')} (${part}) came to nothing: ${ways.join(', ')}.`
  if (wasted.tokens === 0 && !wasted.cost_usd) return [first, 'No tokens are known of them.']
  const ofAll = cost_usd ? `, ${formatShare(wasted.cost_usd / cost_usd)} of the cost` : ''
  return [
    first,
    `By then they had used ${formatCompact(wasted.tokens)} tokens: ${formatMoney(wasted.cost_usd)} at list price${ofAll}.`,
  ]
}

function retrySentences({ retries }: BreakdownRow): string[] {
  if (retries === 0) return []
  return [
    `The proxy tried ${retries === 1 ? 'once' : `${formatCount(retries)} times`} more by itself; a try that failed reports no tokens.`,
  ]
}

/** The rows that wasted most, at most so many, and none that wasted nothing. */
export function worst(rows: readonly BreakdownRow[], most: number): BreakdownRow[] {
  return rows
    .filter(({ wasted }) => wasted.requests > 0)
    .sort((a, b) => b.wasted.cost_usd - a.wasted.cost_usd || b.wasted.requests - a.wasted.requests)
    .slice(0, most)
}

/** What the sums cover, where that is more than was asked for; null where it is exactly that. */
export function windowSentence({ from, to, resolution }: Breakdown, now: number): string | null {
  if (resolution === 0) return null
  const until = to >= now ? 'now' : formatWhen(to, now)
  const covered = `from ${formatWhen(from, now)} to ${until}`
  return resolution >= 86_400
    ? `So long ago there are sums of whole days (UTC) only, without sessions and agents: this is ${covered}.`
    : `Sums of whole hours: this is ${covered}.`
}

/** What a column sorts by; null sorts last, whatever the order. */
export const SORT_VALUES = {
  key: (row: BreakdownRow) => row.key,
  requests: (row: BreakdownRow) => row.requests,
  ok: (row: BreakdownRow) => row.ok,
  failed: (row: BreakdownRow) => row.failed,
  aborted: (row: BreakdownRow) => row.aborted,
  refused: (row: BreakdownRow) => row.refused,
  retries: (row: BreakdownRow) => row.retries,
  input: (row: BreakdownRow) => row.tokens.input,
  cached: (row: BreakdownRow) => row.tokens.cache_read,
  written: (row: BreakdownRow) => row.tokens.cache_write,
  output: (row: BreakdownRow) => row.tokens.output,
  cost: (row: BreakdownRow) => row.cost_usd,
  credits: (row: BreakdownRow) => row.credits,
  duration: (row: BreakdownRow) => row.mean_duration,
  wasted: (row: BreakdownRow) => row.wasted.cost_usd,
} as const

export type UsageSort = keyof typeof SORT_VALUES

export function sortedRows(
  rows: readonly BreakdownRow[],
  sort: UsageSort,
  order: 'asc' | 'desc',
): BreakdownRow[] {
  const direction = order === 'asc' ? 1 : -1
  const value = SORT_VALUES[sort]
  return [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)]
    if (left === null || right === null) return Number(left === null) - Number(right === null)
    if (typeof left === 'number' && typeof right === 'number') return direction * (left - right)
    return direction * String(left).localeCompare(String(right))
  })
}

export function parseSort(
  parameters: URLSearchParams,
  fallback: UsageSort,
): { sort: UsageSort; order: 'asc' | 'desc' } {
  const named = parameters.get('sort') ?? ''
  return {
    sort: Object.hasOwn(SORT_VALUES, named) ? (named as UsageSort) : fallback,
    order: parameters.get('order') === 'asc' ? 'asc' : 'desc',
  }
}

/** `2.02M tokens, 89 % of the input cached`. */
export function tokensInWords(row: BreakdownRow): [string, string] {
  const cached = cachedShare(row)
  return [
    formatCompact(totalTokens(row.tokens)),
    cached === null ? '' : `${formatShare(cached)} of the input cached`,
  ]
}

function bounded(value: number): number {
  return Math.min(1, Math.max(0, value))
}
