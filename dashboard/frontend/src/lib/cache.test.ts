import { describe, expect, test } from 'vitest'
import { causesInWords, lostInWords, sharesInWords } from './cache'
import { aCache, aCacheLoss } from './examples'

describe('the shares', () => {
  test.each([
    [{ cached_tokens: 200_000 }, '4 % cached, could be 93 %'],
    [{ cached_tokens: 0 }, '0 % cached, could be 93 %'],
    [{ cached_tokens: 4_650_000 }, '93 % cached, as much as could be'],
    [{ input_tokens: 0, cached_tokens: 0, cacheable_tokens: 0 }, 'no input'],
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

test('what changes is said once, however many sessions have it', () => {
  const finding = { cause: 'date', part: 'system block 2', session: 'a', requests: 4, at: 1, text: 'a date' }
  const findings = [finding, { ...finding, session: 'b' }, { ...finding, text: 'the tool list' }]

  expect(causesInWords(aCacheLoss({ findings }), true)).toEqual(['a date', 'the tool list'])
})

test('where nothing was found it says how to find out', () => {
  expect(causesInWords(aCacheLoss(), false)).toEqual(['CACHE_DOCTOR=on finds out what changes.'])
  expect(causesInWords(aCacheLoss(), true)).toEqual([
    'Which part of its prompts changes, or whether one does, cannot be told.',
  ])
})
