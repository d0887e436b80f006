import { expect, test } from 'vitest'
import { totalTokens } from './tokens'

test('the kinds add up, as far as they are known', () => {
  expect(totalTokens({ input: 1, output: 20, cache_read: 300, cache_write: 4000 })).toBe(4321)
  expect(totalTokens({ input: 1, output: null, cache_read: null, cache_write: null })).toBe(1)
})

test('nothing known is not 0', () => {
  expect(totalTokens({ input: null, output: null, cache_read: null, cache_write: null })).toBeNull()
})
