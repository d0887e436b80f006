import { expect, test } from 'vitest'
import { aRunningRequest } from './examples'
import {
  laneName,
  limitInWords,
  limitOwner,
  requestName,
  senderName,
  silence,
  targetsInWords,
} from './requestWords'

test('what a request does not say is called unknown', () => {
  const bare = aRunningRequest({ client: null, session: null, model: null, path: null, lane: null })
  expect([senderName(bare), requestName(bare), laneName(bare.lane)]).toEqual([
    'unknown client',
    'request for unknown client',
    'unknown lane',
  ])
})

test('of a session so much is shown that two can be told apart', () => {
  expect(senderName({ client: 'laptop-anna', session: 'b90b4838-9cc4-46b7' })).toBe('laptop-anna · b90b4838')
})

test('silence is worth a word after a while, and a warning after a longer one', () => {
  expect([null, 0.4, 9.9, 10, 119, 120].map(silence)).toEqual([
    'none',
    'none',
    'none',
    'silent',
    'silent',
    'long',
  ])
})

test('a limit says how much of it is used, if that is known', () => {
  expect(limitInWords({ name: 'in flight', value: 13, used: 7 })).toBe('7 of 13')
  expect(limitInWords({ name: 'requests/s', value: 5.001, used: null })).toBe('5')
  expect(limitInWords({ name: 'in flight', value: null, used: 7 })).toBe('7 of –')
})

test('a limit is of the proxy that tells of it, or of all that share it', () => {
  const names = new Map([[1, 'proxy-1:9090']])
  expect(limitOwner({ target: 1, replicas: 1 }, names)).toBe('proxy-1:9090')
  expect(limitOwner({ target: 2, replicas: 1 }, names)).toBe('proxy 2')
  expect(limitOwner({ target: 1, replicas: 3 }, names)).toBe('shared by 3 proxies')
})

test('proxies that are late still answer, stale ones do not', () => {
  const targets = (['up', 'late', 'stale', 'new'] as const).map((state, id) => ({
    id,
    name: `p${id}`,
    state,
  }))
  expect([1, 2, 3, 4].map((count) => targetsInWords(targets.slice(0, count)))).toEqual([
    '1 proxy answers',
    '2 proxies answer',
    '2 of 3 proxies answer',
    '2 of 4 proxies answer',
  ])
  expect(targetsInWords([])).toBeNull()
})
