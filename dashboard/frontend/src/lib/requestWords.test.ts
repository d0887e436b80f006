import { expect, test } from 'vitest'
import { aRunningRequest } from './examples'
import { NO_NAMES, nameBook } from './names'
import {
  ceilingInWords,
  gateInWords,
  laneName,
  limitInWords,
  limitMeaning,
  limitOwner,
  modelName,
  moveInWords,
  movers,
  otherModelAsked,
  requestName,
  senderName,
  sharingInWords,
  silence,
  targetsInWords,
} from './requestWords'

test('what a request does not say is called unknown', () => {
  const bare = aRunningRequest({
    client: null,
    session: null,
    model: null,
    model_asked: null,
    path: null,
    lane: null,
  })
  expect([senderName(bare, NO_NAMES), requestName(bare, NO_NAMES), laneName(bare.lane)]).toEqual([
    'unknown client',
    'request for unknown client',
    'unknown lane',
  ])
})

test('a request is named by the model that answers, and by the one that it asks for until then', () => {
  const named = (model: string | null, model_asked: string | null) => {
    const request = aRunningRequest({ model, model_asked })
    return [modelName(request), otherModelAsked(request), requestName(request, NO_NAMES)]
  }
  expect(named('glm-5.3', 'claude-opus-5')).toEqual(['glm-5.3', 'claude-opus-5', 'glm-5.3 for laptop-anna'])
  expect(named('glm-5.3', 'glm-5.3')).toEqual(['glm-5.3', null, 'glm-5.3 for laptop-anna'])
  expect(named('glm-5.3', null)).toEqual(['glm-5.3', null, 'glm-5.3 for laptop-anna'])
  expect(named(null, 'glm-4.7')).toEqual(['glm-4.7', null, 'glm-4.7 for laptop-anna'])
  expect(named(null, null)).toEqual([null, null, '/v1/messages for laptop-anna'])
})

test('of a session so much is shown that two can be told apart', () => {
  expect(senderName({ client: 'laptop-anna', session: 'b90b4838-9cc4-46b7' }, NO_NAMES)).toBe(
    'laptop-anna · b90b4838',
  )
})

test('clients and sessions are called as people named them', () => {
  const names = nameBook([
    { kind: 'client', key: 'source-17', name: "Anna's laptop" },
    { kind: 'session', key: 'b90b4838-9cc4-46b7', name: 'the big refactoring' },
  ])
  const request = aRunningRequest({ client: 'source-17', session: 'b90b4838-9cc4-46b7' })
  expect(senderName(request, names)).toBe("Anna's laptop · the big refactoring")
  expect(senderName({ ...request, client: 'source-18' }, names)).toBe('source-18 · the big refactoring')
  expect(requestName(request, names)).toBe("glm-5.3 for Anna's laptop")
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

test('a move of a limit says from where to where it went, and why', () => {
  expect(moveInWords('upstream 1302: 3 → 2 in flight')).toBe('3 → 2, refused with 1302')
  expect(moveInWords('probe: 6 → 7 in flight')).toBe('6 → 7, one more is tried')
  expect(moveInWords('probe held: 6 → 7 in flight')).toBe('6 → 7, the try has held')
  expect(moveInWords('work waits: 3 → 8 in flight')).toBe('3 → 8, work waits')
  expect(moveInWords('work waits: 1.5 → 2.25 requests/s')).toBe('work waits: 1.5 → 2.25 requests/s')
})

test('what has places and is no model has a name for people', () => {
  expect(['glm-5.3', 'mcp', 'unknown'].map(gateInWords)).toEqual(['glm-5.3', 'MCP tools', 'unknown model'])
})

test('a model that shares places says with which others, how many, and how sure that is', () => {
  const shares = { with: ['glm-4.7'], maybe_with: [], value: 6, in_flight: 5 }
  const words = (changes: object) => sharingInWords({ ...shares, ...changes })
  expect(words({})).toBe('shares 6 places with glm-4.7, 5 in use')
  expect(words({ with: ['a', 'b', 'unknown'] })).toBe('shares 6 places with a, b and unknown model, 5 in use')
  expect(words({ maybe_with: ['b', 'c'] })).toBe(
    'shares 6 places with glm-4.7, perhaps also with b and c, 5 in use',
  )
  expect(words({ with: [], maybe_with: ['b'], value: 1, in_flight: 0 })).toBe(
    'may share 1 place with b, 0 in use',
  )
  expect(words({ value: null })).toBe('shares places with glm-4.7, 5 in use')
})

test('a limit says what it is of and what was too much, as far as that is known', () => {
  expect(['in flight', 'requests/s', 'something new'].map(limitMeaning)).toEqual([
    'all models together',
    'may start, of all models',
    null,
  ])
  expect(ceilingInWords({ name: 'in flight', ceiling: 8 })).toBe('8 were refused')
  expect(ceilingInWords({ name: 'requests/s', ceiling: 6.25 })).toBe('6.25 were refused')
  expect(ceilingInWords({ name: 'in flight', ceiling: null })).toBeNull()
})

test('a move of the plan is named after the model whose it was', () => {
  const refused = { at: 10, text: 'upstream 1302: 3 → 2 in flight' }
  const tried = { at: 12, text: 'probe: 2 → 3 in flight' }
  const limit = {
    target: 1,
    moves: [tried, refused, refused, { at: 9, text: 'work waits: 3 → 8 in flight' }],
  }
  const models = [
    { target: 2, model: 'of another proxy', moves: [tried] },
    { target: 1, model: 'glm-4.7', moves: [refused] },
    { target: 1, model: 'glm-5.3', moves: [tried, refused] },
  ]
  expect(movers(limit, models)).toEqual(['glm-5.3', 'glm-4.7', 'glm-5.3', null])
  expect(movers(limit, [])).toEqual([null, null, null, null])
})
