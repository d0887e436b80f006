/** Numbers as people read them. What nobody knows is "–", never 0. */

export const UNKNOWN = '–'

type Maybe = number | null | undefined

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

function isKnown(value: Maybe): value is number {
  return value !== null && value !== undefined && Number.isFinite(value)
}

/** `1,640`. */
export function formatCount(value: Maybe): string {
  return isKnown(value) ? grouped.format(value) : UNKNOWN
}

/** `950`, `20.3k`, `1.81M`, `2.4B`: three digits, for where there is little room. */
export function formatCompact(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  for (const [size, letter] of [
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    // What would be rounded up to 1000k is 1M.
    if (Math.abs(value) >= size * 0.9995) return trimmed(value / size) + letter
  }
  return trimmed(value)
}

/** `~1,640`: tokens that are guessed from bytes. */
export function formatEstimate(value: Maybe): string {
  return isKnown(value) ? `~${formatCount(value)}` : UNKNOWN
}

/** A rate: `14`, `2.5`, `0.08`. */
export function formatRate(value: Maybe): string {
  return isKnown(value) ? formatCompact(value) : UNKNOWN
}

/** `$0.0123`, `$4.10`, `$1,234`: cents where they matter. */
export function formatMoney(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  const size = Math.abs(value)
  if (size === 0) return '$0'
  const digits = size >= 1000 ? 0 : size >= 0.1 ? 2 : size >= 0.001 ? 4 : 6
  return `${value < 0 ? '-' : ''}$${size.toLocaleString('en-US', { minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits })}`
}

/** `812 B`, `79.3 KiB`, `1.2 GiB`. */
export function formatBytes(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  let rest = value
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (Math.abs(rest) < 1023.5) return `${unit === 'B' ? formatCount(rest) : trimmed(rest)} ${unit}`
    rest /= 1024
  }
  return `${trimmed(rest)} TiB`
}

/** A share of 0 to 1 as `37 %`. What is there but rounds to nothing is `<1 %`; what is not all is never `100 %`. */
export function formatShare(value: Maybe): string {
  if (!isKnown(value)) return UNKNOWN
  if (value > 0 && value < 0.01) return '<1 %'
  if (value > 0.99 && value < 1) return '>99 %'
  return `${Math.round(value * 100)} %`
}

/** `1 request`, `2 requests`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

function trimmed(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2
  return String(Number(value.toFixed(digits)))
}
