import { describe, expect, test } from 'vitest'
import { around, enclosing, lastInWords, shifted, toInput, typedRange, zoomedOut } from './rangeSteps'
import type { TimeRange } from './timeRange'

const NOW = 1_764_000_000
const between = (from: number, to: number): TimeRange => ({ kind: 'between', from, to })
const last = (seconds: number): TimeRange => ({ kind: 'last', seconds })

describe('out', () => {
  test('is three times as long around the same middle', () => {
    expect(zoomedOut(between(NOW - 9000, NOW - 8000), NOW)).toEqual(between(NOW - 10_000, NOW - 7000))
  })

  test('never shows the future', () => {
    expect(zoomedOut(between(NOW - 1000, NOW), NOW)).toEqual(between(NOW - 3000, NOW))
  })

  test('of a time up to now is the next longer one, and the longest stays', () => {
    expect(zoomedOut(last(3600), NOW)).toEqual(last(21_600))
    expect(zoomedOut(last(7_776_000), NOW)).toEqual(last(7_776_000))
  })
})

test('earlier and later move by half of what is shown, up to now', () => {
  expect(shifted(last(3600), -1, NOW)).toEqual(between(NOW - 5400, NOW - 1800))
  expect(shifted(between(NOW - 5400, NOW - 1800), 1, NOW)).toEqual(between(NOW - 3600, NOW))
  expect(shifted(between(NOW - 3600, NOW), 1, NOW)).toEqual(between(NOW - 3600, NOW))
})

test('the way back shows what was zoomed into, with all until now', () => {
  expect(enclosing(between(NOW - 5000, NOW - 4000), NOW)).toEqual(last(21_600))
  expect(enclosing(between(NOW - 900, NOW - 800), NOW)).toEqual(last(900))
  expect(enclosing(between(0, 1000), NOW)).toEqual(last(7_776_000))
})

test('closer to an event is the time on either side of it', () => {
  expect(around(NOW - 5000.5, 900, NOW)).toEqual(between(NOW - 5901, NOW - 4100))
  expect(around(NOW - 10, 900, NOW)).toEqual(between(NOW - 910, NOW))
})

test.each([
  [21_600, 'last 6 hours'],
  [3600, 'last hour'],
  [2700, 'last 45 minutes'],
  [86_400 * 3, 'last 3 days'],
])('%d s are the %s', (seconds, words) => {
  expect(lastInWords(seconds)).toBe(words)
})

describe('what is typed', () => {
  test('is a time of the reader, and comes back as it was', () => {
    const typed = typedRange('2025-11-24T10:00', '2025-11-24T12:30', NOW)
    expect(typed).toEqual(between(1_763_974_800, 1_763_983_800))
    expect(toInput(1_763_974_800)).toBe('2025-11-24T10:00')
  })

  test.each([
    ['', '2025-11-24T12:30', 'Give a day and a time for both.'],
    ['2025-11-24T12:30', '2025-11-24T12:30', 'The end has to be after the beginning.'],
    ['2025-12-24T12:30', '2025-12-25T12:30', 'That begins in the future.'],
    ['2005-11-24T12:30', '2025-11-24T12:30', 'Show ten years at most.'],
  ])('from %j to %j is refused: %s', (from, to, why) => {
    expect(typedRange(from, to, NOW)).toBe(why)
  })
})
