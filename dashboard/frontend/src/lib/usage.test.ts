import { describe, expect, test } from 'vitest'
import { aBreakdown, aUsageRow } from './examples'
import {
  cachedShare,
  keyInWords,
  parseSort,
  share,
  shareOf,
  sortedRows,
  tokensInWords,
  wasteSentences,
  windowSentence,
  worst,
} from './usage'

const NOW = 1_764_000_000
const NOTHING = { requests: 0, tokens: 0, cost_usd: 0 }

describe('shares', () => {
  const total = aUsageRow({ requests: 100, cost_usd: 8, wasted: { requests: 10, tokens: 0, cost_usd: 2 } })

  test('are of the cost, with the part that was for nothing', () => {
    const row = aUsageRow({ cost_usd: 2, wasted: { requests: 1, tokens: 0, cost_usd: 0.4 } })
    expect(shareOf(total)).toBe('cost')
    expect(share(row, total)).toEqual({ all: 0.25, wasted: 0.05 })
  })

  test('are of the requests where nothing cost anything', () => {
    const free = { ...total, cost_usd: 0 }
    const row = aUsageRow({ requests: 25, cost_usd: 0, wasted: { requests: 5, tokens: 0, cost_usd: 0 } })
    expect(shareOf(free)).toBe('requests')
    expect(share(row, free)).toEqual({ all: 0.25, wasted: 0.05 })
  })

  test('of nothing are nothing, and what was wasted is never more than the whole', () => {
    expect(share(aUsageRow(), aUsageRow({ requests: 0, cost_usd: 0 }))).toEqual({ all: 0, wasted: 0 })
    const odd = aUsageRow({ cost_usd: 1, wasted: { requests: 1, tokens: 0, cost_usd: 5 } })
    expect(share(odd, total)).toEqual({ all: 0.125, wasted: 0.125 })
  })

  test('of the cache are of all input', () => {
    expect(cachedShare(aUsageRow())).toBeCloseTo(0.938, 3)
    const none = { input: 0, output: 5, cache_read: 0, cache_write: 0, reasoning: 0 }
    expect(cachedShare(aUsageRow({ tokens: none }))).toBeNull()
    expect(tokensInWords(aUsageRow())).toEqual(['2.02M', '94 % of the input cached'])
  })
})

describe('what was wasted', () => {
  test('says how much, in which way, and what it cost', () => {
    expect(wasteSentences(aUsageRow())).toEqual([
      '22 of 812 requests (3 %) came to nothing: 9 failed, 13 broken off by the client.',
      'By then they had used 20.1k tokens: $0.12 at list price, 3 % of the cost.',
    ])
  })

  test('names tries that the proxy made by itself, also if nothing came to nothing', () => {
    expect(wasteSentences(aUsageRow({ failed: 0, aborted: 0, retries: 4, wasted: NOTHING }))).toEqual([
      'No request failed, and no client left before its answer was complete.',
      'The proxy tried 4 times more by itself; a try that failed reports no tokens.',
    ])
  })

  test('does not make up a cost where no tokens are known', () => {
    const failed = aUsageRow({ requests: 1, failed: 1, aborted: 0, wasted: { ...NOTHING, requests: 1 } })
    expect(wasteSentences(failed)).toEqual([
      '1 of 1 request (100 %) came to nothing: 1 failed.',
      'No tokens are known of them.',
    ])
  })

  test('is named of those who wasted most, and of nobody who wasted nothing', () => {
    const rows = [
      aUsageRow({ key: 'a', wasted: { requests: 9, tokens: 1, cost_usd: 0.1 } }),
      aUsageRow({ key: 'b', wasted: { requests: 1, tokens: 1, cost_usd: 3 } }),
      aUsageRow({ key: 'c', wasted: NOTHING }),
      aUsageRow({ key: 'd', wasted: { requests: 12, tokens: 1, cost_usd: 0.1 } }),
    ]
    expect(worst(rows, 2).map(({ key }) => key)).toEqual(['b', 'd'])
    expect(worst(rows, 9)).toHaveLength(3)
  })
})

describe('the time that sums cover', () => {
  test('is not worth a word where it is what was asked for', () => {
    expect(windowSentence(aBreakdown(), NOW)).toBeNull()
  })

  test('is said where it was widened to whole hours or days', () => {
    expect(windowSentence(aBreakdown({ resolution: 3600 }), NOW)).toBe(
      'Sums of whole hours: this is from Sun 17:00 to now.',
    )
    expect(windowSentence(aBreakdown({ resolution: 86_400, to: NOW - 90_000 }), NOW)).toBe(
      'So long ago there are sums of whole days (UTC) only, without sessions and agents: this is from Sun 17:00 to Sun 16:00.',
    )
  })
})

test('a row is named by its key, a day as that of UTC, and what named nothing is said to be so', () => {
  expect(keyInWords('client', 'ci', NOW)).toBe('ci')
  expect(keyInWords('session', null, NOW)).toBe('no session')
  expect(keyInWords('day', 1_763_942_400, NOW)).toBe('Mon 24 Nov')
  expect(keyInWords('hour', 1_763_996_400, NOW)).toBe('16:00')
})

test('rows are sorted by any column, what is not known at the end', () => {
  const rows = [
    aUsageRow({ key: 'a', mean_duration: 1 }),
    aUsageRow({ key: 'b', mean_duration: null }),
    aUsageRow({ key: 'c', mean_duration: 3 }),
  ]
  expect(sortedRows(rows, 'duration', 'desc').map(({ key }) => key)).toEqual(['c', 'a', 'b'])
  expect(sortedRows(rows, 'duration', 'asc').map(({ key }) => key)).toEqual(['a', 'c', 'b'])
  expect(sortedRows(rows, 'key', 'desc').map(({ key }) => key)).toEqual(['c', 'b', 'a'])
})

test('the order stands in the address; one that makes no sense is the usual one', () => {
  expect(parseSort(new URLSearchParams('sort=failed&order=asc'), 'cost')).toEqual({
    sort: 'failed',
    order: 'asc',
  })
  expect(parseSort(new URLSearchParams('sort=toString&order=up'), 'cost')).toEqual({
    sort: 'cost',
    order: 'desc',
  })
})
