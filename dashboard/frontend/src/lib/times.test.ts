import { expect, test } from 'vitest'
import { UNKNOWN } from './numbers'
import { formatAge, formatClock, formatDuration, formatMoment, formatWhen } from './times'

/** The tests run in Berlin: an hour ahead of UTC in winter. */
const at = (text: string) => Date.parse(text) / 1000

test.each([
  [0, '0 s'],
  [0.0004, '1 ms'],
  [0.048, '48 ms'],
  [0.48, '0.5 s'],
  [1.31, '1.3 s'],
  [9.96, '10 s'],
  [12.4, '12 s'],
  [59.7, '1 min'],
  [252, '4 min 12 s'],
  [600, '10 min'],
  [3599, '59 min'],
  [7500, '2 h 5 min'],
  [86_400 * 3 + 4 * 3600, '3 d 4 h'],
  [-1, '0 s'],
])('%d seconds are %s', (seconds, shown) => {
  expect(formatDuration(seconds)).toBe(shown)
})

test('an age counts in whole seconds and is never ahead', () => {
  expect([formatAge(1.9), formatAge(59.99), formatAge(63.2)]).toEqual(['1 s', '59 s', '1 min 3 s'])
})

test('an unknown time is shown as unknown', () => {
  expect([formatDuration(null), formatAge(undefined), formatClock(null), formatMoment(Number.NaN)]).toEqual([
    UNKNOWN,
    UNKNOWN,
    UNKNOWN,
    UNKNOWN,
  ])
})

test('times are those of the reader, not of UTC', () => {
  expect(formatClock(at('2026-11-24T15:40:12Z'))).toBe('16:40')
  expect(formatClock(at('2026-11-24T15:40:12Z'), true)).toBe('16:40:12')
})

test.each([
  ['2026-11-24T15:40:00Z', '16:40'],
  ['2026-11-24T23:30:00Z', 'Wed 00:30'],
  ['2026-11-27T15:40:00Z', 'Fri 16:40'],
  ['2026-12-24T15:40:00Z', '24 Dec, 16:40'],
  ['2027-11-24T15:40:00Z', '24 Nov 2027'],
])('seen from 24 November, noon, %s is %s', (when, shown) => {
  expect(formatWhen(at(when), at('2026-11-24T11:00:00Z'))).toBe(shown)
})

test('a moment tells everything, with the zone', () => {
  expect(formatMoment(at('2026-11-24T15:40:12Z'))).toBe('Tue, 24 Nov 2026, 16:40:12 CET')
})
