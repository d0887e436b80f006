import { describe, expect, test } from 'vitest'
import { aRequest, aSnapshot } from './examples'
import { type LiveEvent, type LiveState, MOST_ALERTS, MOST_REQUESTS, reduceLive, SILENT } from './live'
import { givenName } from './names'

const told = (...events: LiveEvent[]): LiveState => events.reduce(reduceLive, SILENT)
const request = (id: number): LiveEvent => ({ kind: 'request', data: aRequest({ id }), id: `e${id}` })
const alert: LiveEvent = {
  kind: 'alert',
  data: { id: 'silent', state: 'raised', severity: 'info', title: 'Silent', advice: 'Wait.', at: 1 },
}

describe('the connection', () => {
  test('is live with the first event', () => {
    expect(SILENT.connection).toEqual({ state: 'connecting' })
    expect(told({ kind: 'now', data: aSnapshot() }).connection).toEqual({ state: 'live' })
  })

  test('counts as lost since the first sign of it, however often it fails afterwards', () => {
    const state = told(
      { kind: 'now', data: aSnapshot() },
      { kind: 'lost', since: 10 },
      { kind: 'lost', since: 22 },
    )
    expect(state.connection).toEqual({ state: 'lost', since: 10 })
  })

  test('keeps the last picture while it is lost, and recovers with the next event', () => {
    const lost = told({ kind: 'now', data: aSnapshot({ at: 5 }) }, { kind: 'lost', since: 10 })
    expect(lost.now?.at).toBe(5)
    expect(reduceLive(lost, { kind: 'now', data: aSnapshot({ at: 30 }) })).toMatchObject({
      now: { at: 30 },
      connection: { state: 'live' },
    })
  })
})

describe('after the connection was lost', () => {
  const again = (before: LiveState) =>
    [{ kind: 'lost', since: 10 } as const, { kind: 'now', data: aSnapshot() } as const].reduce(
      reduceLive,
      before,
    )

  test('tables are loaded anew if there is no id to go on after', () => {
    expect(again(told({ kind: 'now', data: aSnapshot() })).generation).toBe(1)
  })

  test('what was missed is replayed otherwise', () => {
    expect(again(told(request(7))).generation).toBe(0)
  })
})

describe('finished requests', () => {
  test('come newest first, each once', () => {
    const state = told(request(1), request(2), request(1), request(2))
    expect(state.requests.map(({ id }) => id)).toEqual([2, 1])
  })

  test('are forgotten beyond a bound', () => {
    const state = told(...Array.from({ length: MOST_REQUESTS + 20 }, (_, index) => request(index + 1)))
    expect(state.requests).toHaveLength(MOST_REQUESTS)
    expect(state.requests[0]?.id).toBe(MOST_REQUESTS + 20)
  })

  test('leave the picture of now as it is, so that nothing of it is drawn again', () => {
    const before = told({ kind: 'now', data: aSnapshot() })
    const then = reduceLive(before, request(1))
    expect(then.now).toBe(before.now)
    expect(then.connection).toBe(before.connection)
  })
})

test('alerts are bounded too', () => {
  expect(told(...Array.from({ length: MOST_ALERTS + 1 }, () => alert)).alerts).toHaveLength(MOST_ALERTS)
})

test('the last id is kept to go on after, also over events without one', () => {
  expect(told(request(7), { kind: 'now', data: aSnapshot() }).lastEventId).toBe('e7')
})

test('a gap asks for tables to be loaded anew, and keeps what is known', () => {
  const state = told(request(1), { kind: 'gap', data: { lost: 120 } })
  expect([state.generation, state.requests.length]).toEqual([1, 1])
})

test('a store that was begun anew makes everything known worthless, ids included', () => {
  const state = told(request(7), alert, { kind: 'reset', data: {} }, request(1))
  expect(state.requests.map(({ id }) => id)).toEqual([1])
  expect(state).toMatchObject({ generation: 1, alerts: [], lastEventId: 'e1' })
})

test('names are those that were told last, and stay while the connection is lost', () => {
  const named = (name: string) => ({ names: [{ kind: 'client' as const, key: 'source-17', name }] })
  const first = reduceLive(SILENT, { kind: 'names', data: named('Anna') })
  const second = reduceLive(first, { kind: 'names', data: named("Anna's laptop") })
  const lost = reduceLive(second, { kind: 'lost', since: 1 })
  expect([first, second, lost].map(({ names }) => givenName(names, 'client', 'source-17'))).toEqual([
    'Anna',
    "Anna's laptop",
    "Anna's laptop",
  ])
  expect(reduceLive(lost, { kind: 'names', data: { names: [] } }).names.size).toBe(0)
})
