/** The time that charts and tables show, as it stands in the address: `?from=-6h` or `?from=…&to=…` (Unix seconds). */

export type TimeRange = { kind: 'last'; seconds: number } | { kind: 'between'; from: number; to: number }

const UNITS = { m: 60, h: 3600, d: 86_400 } as const
const SHORTEST = 60
const LONGEST = 10 * 365 * 86_400

export const DEFAULT_RANGE: TimeRange = { kind: 'last', seconds: 3600 }

/** What the buttons offer. */
export const PRESETS: readonly { label: string; spoken: string; seconds: number }[] = [
  { label: '15m', spoken: 'last 15 minutes', seconds: 900 },
  { label: '1h', spoken: 'last hour', seconds: 3600 },
  { label: '6h', spoken: 'last 6 hours', seconds: 21_600 },
  { label: '24h', spoken: 'last 24 hours', seconds: 86_400 },
  { label: '7d', spoken: 'last 7 days', seconds: 604_800 },
  { label: '30d', spoken: 'last 30 days', seconds: 2_592_000 },
  { label: '90d', spoken: 'last 90 days', seconds: 7_776_000 },
]

const OPENINGS = [300, 900, 3600]

/** What the history shows first: no more than the default, and no longer than something is known of. Times in Unix seconds. */
export function openingRange(oldest: number | null, now: number): TimeRange {
  const seconds = OPENINGS.find((each) => oldest !== null && now - oldest <= each)
  return seconds === undefined ? DEFAULT_RANGE : { kind: 'last', seconds }
}

/** Whatever makes no sense is the default: an address is typed, shortened and shared by people. */
export function parseRange(parameters: URLSearchParams, fallback: TimeRange = DEFAULT_RANGE): TimeRange {
  const from = parameters.get('from') ?? ''
  const last = /^-(\d{1,6})([mhd])$/.exec(from)
  if (last) {
    const seconds = Number(last[1]) * UNITS[last[2] as keyof typeof UNITS]
    return seconds >= SHORTEST && seconds <= LONGEST ? { kind: 'last', seconds } : fallback
  }
  const [start, end] = [from, parameters.get('to') ?? ''].map((text) =>
    /^\d{1,11}$/.test(text) ? Number(text) : Number.NaN,
  )
  if (start === undefined || end === undefined) return fallback
  return end - start >= SHORTEST && end - start <= LONGEST
    ? { kind: 'between', from: start, to: end }
    : fallback
}

/** The parameters of the address, and of a question to the service. */
export function rangeQuery(range: TimeRange): { from: string; to?: string } {
  if (range.kind === 'between') return { from: String(range.from), to: String(range.to) }
  const [unit, size] = (['d', 'h', 'm'] as const)
    .map((each) => [each, UNITS[each]] as const)
    .find(([, each]) => range.seconds % each === 0) ?? ['m', UNITS.m]
  return { from: `-${Math.max(1, Math.round(range.seconds / size))}${unit}` }
}

/** From a brush over a chart: whole seconds, at least a minute around its middle, never in the future. */
export function zoomedRange(from: number, to: number, now: number): TimeRange {
  const [low, high] = from <= to ? [from, to] : [to, from]
  const missing = Math.max(0, SHORTEST - (high - low))
  const end = Math.min(Math.ceil(high + missing / 2), Math.floor(now))
  return { kind: 'between', from: Math.min(Math.floor(low - missing / 2), end - SHORTEST), to: end }
}

export function rangeSeconds(range: TimeRange): number {
  return range.kind === 'last' ? range.seconds : range.to - range.from
}

/** How often what shows this range is worth asking for again, in seconds; false for one that has ended. */
export function refreshSeconds(range: TimeRange): number | false {
  return range.kind === 'between' ? false : Math.min(300, Math.max(5, range.seconds / 360))
}
