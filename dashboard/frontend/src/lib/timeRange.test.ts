import { expect, test } from 'vitest'
import {
  DEFAULT_RANGE,
  openingRange,
  PRESETS,
  parseRange,
  rangeQuery,
  refreshSeconds,
  type TimeRange,
  zoomedRange,
} from './timeRange'

const parsed = (text: string) => parseRange(new URLSearchParams(text))

test('the address names a time that goes on, or one between two moments', () => {
  expect(parsed('from=-6h')).toEqual({ kind: 'last', seconds: 21_600 })
  expect(parsed('from=1763996400&to=1764000000')).toEqual({
    kind: 'between',
    from: 1_763_996_400,
    to: 1_764_000_000,
  })
})

test.each([
  '',
  'from=-0m',
  'from=6h',
  'from=-6y',
  'from=-999999d',
  'from=1764000000',
  'from=1764000000&to=1763996400',
  'from=a&to=b',
])('an address that makes no sense shows the default: %s', (text) => {
  expect(parsed(text)).toEqual(DEFAULT_RANGE)
})

test('each preset, and a range between two moments, comes back from the address as it was', () => {
  const ranges: TimeRange[] = [
    ...PRESETS.map(({ seconds }) => ({ kind: 'last' as const, seconds })),
    { kind: 'between', from: 1_763_996_400, to: 1_764_000_000 },
  ]
  for (const range of ranges) {
    expect(parsed(new URLSearchParams(rangeQuery(range)).toString())).toEqual(range)
  }
})

test('a brush may go from right to left', () => {
  expect(zoomedRange(2000.4, 1000.6, 9000)).toEqual({ kind: 'between', from: 1000, to: 2001 })
})

test('a brush of nothing shows a minute, and none shows the future', () => {
  expect(zoomedRange(5000, 5000, 9000)).toEqual({ kind: 'between', from: 4970, to: 5030 })
  expect(zoomedRange(8995, 9300, 9000)).toEqual({ kind: 'between', from: 8940, to: 9000 })
})

test('what has ended is not asked for again', () => {
  expect(refreshSeconds({ kind: 'between', from: 0, to: 60 })).toBe(false)
  expect(refreshSeconds({ kind: 'last', seconds: 900 })).toBe(5)
  expect(refreshSeconds({ kind: 'last', seconds: 7_776_000 })).toBe(300)
})

test('the history opens on the time of which something is known, an hour at most', () => {
  const last = (seconds: number) => ({ kind: 'last', seconds })
  expect([990, 700, 699, 100, -9000].map((oldest) => openingRange(oldest, 1000))).toEqual(
    [300, 300, 900, 900, 3600].map(last),
  )
  expect(openingRange(null, 1000)).toEqual(DEFAULT_RANGE)
})
