import type { TokenCounts } from '../api/common'

/** Input, output and both kinds of cached tokens together; null if nobody knows any of them. Reasoning is part of the output. */
export function totalTokens({ input, output, cache_read, cache_write }: TokenCounts): number | null {
  const known = [input, output, cache_read, cache_write].filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0)
}
