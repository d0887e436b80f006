import { describe, expect, test } from 'vitest'
import { aQuotaWindow } from './examples'
import { elapsedShare, quotaForecast, quotaTone, windowName } from './quota'

/** The tests run in Berlin. */
const NOW = Date.parse('2026-11-24T13:00:00Z') / 1000
const RESET = Date.parse('2026-11-24T17:19:00Z') / 1000
const EARLIER = Date.parse('2026-11-24T15:40:00Z') / 1000

describe('the forecast', () => {
  test.each([
    [{ runs_out_at: EARLIER, resets_at: RESET }, 'lasts until 16:40, resets 18:19'],
    [{ runs_out_at: EARLIER, resets_at: null }, 'lasts until 16:40'],
    [{ resets_at: RESET, unused_at_reset: 0.21 }, 'lasts, resets 18:19 with about 21 % left'],
    [{ resets_at: RESET }, 'resets 18:19'],
    [{ used: 1, resets_at: RESET }, 'used up, resets 18:19'],
    [{ used: 1, resets_at: null }, 'used up, its reset is not known'],
    [{ used: 0, resets_at: null }, 'nothing used, opens with the next request'],
    [{ used: null, resets_at: null }, 'no figures'],
    [{ resets_at: RESET + 3 * 86_400 }, 'resets Fri 18:19'],
  ])('of %o is "%s"', (changes, sentence) => {
    expect(quotaForecast(aQuotaWindow(changes), NOW)).toBe(sentence)
  })
})

describe('the tone', () => {
  test.each([
    [{}, 'ok'],
    [{ used: null }, 'neutral'],
    [{ used: 0.93 }, 'warning'],
    [{ runs_out_at: EARLIER, resets_at: RESET }, 'warning'],
    [{ runs_out_at: RESET + 60, resets_at: RESET }, 'ok'],
    [{ used: 1 }, 'critical'],
    [{ gate_closed: true, used: null }, 'critical'],
  ] as const)('of %o is %s', (changes, tone) => {
    expect(quotaTone(aQuotaWindow(changes))).toBe(tone)
  })
})

test('how much of the time is over is known only for a window of known length and end', () => {
  expect(elapsedShare(aQuotaWindow({ resets_at: NOW + 9000 }), NOW)).toBeCloseTo(0.5)
  expect(elapsedShare(aQuotaWindow({ resets_at: NOW - 60 }), NOW)).toBe(1)
  expect(elapsedShare(aQuotaWindow({ resets_at: null }), NOW)).toBeNull()
  expect(elapsedShare(aQuotaWindow({ window: 'monthly', resets_at: NOW + 9000 }), NOW)).toBeNull()
})

test('a window of a name that is not known here keeps it', () => {
  expect(windowName(aQuotaWindow({ window: 'two_week' }))).toBe('two week')
})
