import { describe, expect, test } from 'vitest'
import type { CacheLoss } from '../api/now'
import { causesInWords, lostInWords, sharesInWords } from './cache'
import { aCache, aCacheLoss } from './examples'
import { NO_NAMES, nameBook } from './names'

describe('the shares', () => {
  test.each([
    [{ cached_tokens: 200_000 }, '4 % cached, could be 93 %'],
    [{ cached_tokens: 0 }, '0 % cached, could be 93 %'],
    [{ cached_tokens: 4_650_000 }, '93 % cached, as much as could be'],
    [{ input_tokens: 0, cached_tokens: 0, cacheable_tokens: 0 }, 'no input'],
    [{ cached_tokens: 200_000, unknown_tokens: 900_000 }, '4 % cached, could be 93 %'],
    [
      { cached_tokens: 200_000, cacheable_tokens: 200_000, unknown_tokens: 4_000_000 },
      '4 % cached, whether more could be is not known',
    ],
    [
      { cached_tokens: 200_000, cacheable_tokens: 2_500_000, unknown_tokens: 1_000_000 },
      '4 % cached, could be 50 %, and of 20 % it is not known',
    ],
  ])('of %o are "%s"', (changes, words) => {
    expect(sharesInWords(aCache(changes))).toBe(words)
  })
})

describe('the loss', () => {
  test.each([
    [{}, 3600, '$1.20 and 340 credits an hour'],
    [{}, 1800, '$2.40 and 680 credits an hour'],
    [{ lost_usd: null }, 3600, '340 credits an hour'],
    [{ lost_credits: null }, 3600, '$1.20 an hour'],
    [{ lost_credits: 0.2 }, 3600, '$1.20 an hour'],
    [{ lost_usd: 0.001, lost_credits: null }, 3600, null],
  ])('of %o in %i s is "%s"', (changes, seconds, words) => {
    expect(lostInWords(aCacheLoss(changes), seconds)).toBe(words)
  })
})

describe('what changes', () => {
  const finding = { cause: 'date', part: null, session: 'a-long-name', requests: 4, at: 1, text: 'a date' }
  const words = (findings: CacheLoss['findings'], names = NO_NAMES) =>
    causesInWords(aCacheLoss({ findings }), true, names)

  test('is said once, with how many sessions have it', () => {
    const findings = [finding, { ...finding, session: 'b' }, { ...finding, text: 'the tool list' }]

    expect(words(findings)).toEqual(['2 sessions: a date', 'Session a-long-n: the tool list'])
  })

  test('names the session as people do, and none where the program has none', () => {
    const names = nameBook([{ kind: 'session', key: 'a-long-name', name: 'the release' }])

    expect(words([finding], names)).toEqual(['Session the release: a date'])
    expect(words([{ ...finding, session: null }])).toEqual(['a date'])
  })
})

test('where nothing was found it says how to find out', () => {
  expect(causesInWords(aCacheLoss(), false, NO_NAMES)).toEqual(['CACHE_DOCTOR=on finds out what changes.'])
  expect(causesInWords(aCacheLoss(), true, NO_NAMES)).toEqual([
    'Which part of its prompts changes, or whether one does, is not known, or not yet.',
  ])
})
