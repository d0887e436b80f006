import { describe, expect, test } from 'vitest'
import {
  formatBytes,
  formatCompact,
  formatCount,
  formatEstimate,
  formatMoney,
  formatRate,
  formatShare,
  plural,
  UNKNOWN,
} from './numbers'

describe('what nobody knows is shown as unknown, never as 0', () => {
  test.each([formatCount, formatCompact, formatEstimate, formatRate, formatMoney, formatBytes, formatShare])(
    '%o',
    (format) => {
      expect([format(null), format(undefined), format(Number.NaN)]).toEqual([UNKNOWN, UNKNOWN, UNKNOWN])
      expect(format(0)).not.toBe(UNKNOWN)
    },
  )
})

test('counts have their thousands apart, and guessed ones a tilde', () => {
  expect(formatCount(1640)).toBe('1,640')
  expect(formatEstimate(1640)).toBe('~1,640')
})

test.each([
  [0, '0'],
  [0.08, '0.08'],
  [14, '14'],
  [950.4, '950'],
  [999.6, '1k'],
  [20_311, '20.3k'],
  [999_900, '1M'],
  [1_812_000, '1.81M'],
  [2.4e9, '2.4B'],
  [-20_311, '-20.3k'],
])('%d in little room is %s', (value, shown) => {
  expect(formatCompact(value)).toBe(shown)
})

test.each([
  [0, '$0'],
  [0.0000123, '$0.000012'],
  [0.0123, '$0.0123'],
  [0.081, '$0.081'],
  [0.5, '$0.50'],
  [4.1, '$4.10'],
  [1234.5, '$1,235'],
  [-4.1, '-$4.10'],
])('%d dollars are %s', (value, shown) => {
  expect(formatMoney(value)).toBe(shown)
})

test.each([
  [812, '812 B'],
  [1023.9, '1 KiB'],
  [81_234, '79.3 KiB'],
  [1024 ** 4 * 3, '3 TiB'],
])('%d bytes are %s', (value, shown) => {
  expect(formatBytes(value)).toBe(shown)
})

test.each([
  [0, '0 %'],
  [0.004, '<1 %'],
  [0.37, '37 %'],
  [0.996, '>99 %'],
  [1, '100 %'],
  [1.2, '120 %'],
])('a share of %d is %s', (value, shown) => {
  expect(formatShare(value)).toBe(shown)
})

test('one is singular, all others are plural', () => {
  expect([plural(1, 'request'), plural(0, 'request'), plural(1200, 'proxy', 'proxies')]).toEqual([
    '1 request',
    '0 requests',
    '1,200 proxies',
  ])
})
