import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { aRequest, aSnapshot } from './examples'
import { type LiveEvent, reduceLive, SILENT } from './live'
import { type EventStream, keepListening, SILENCE_MS } from './liveConnection'
import { createStore } from './store'

class Stream implements EventStream {
  onerror: ((event: Event) => void) | null = null
  isOpen = true
  private listeners = new Map<string, (event: MessageEvent<string>) => void>()

  constructor(readonly url: string) {}

  addEventListener(name: string, listener: (event: MessageEvent<string>) => void) {
    this.listeners.set(name, listener)
  }

  send(name: string, data: unknown, lastEventId = '') {
    this.listeners.get(name)?.({ data: JSON.stringify(data), lastEventId } as MessageEvent<string>)
  }

  breakOff() {
    this.onerror?.({} as Event)
  }

  close() {
    this.isOpen = false
  }
}

function listening(answers: () => boolean = () => true) {
  const streams: Stream[] = []
  const store = createStore(reduceLive, SILENT)
  const stop = keepListening({
    open: (url) => {
      const stream = new Stream(url)
      streams.push(stream)
      return stream
    },
    probe: () => (answers() ? Promise.resolve() : Promise.reject(new Error('no answer'))),
    dispatch: (event: LiveEvent) => store.dispatch(event),
    lastEventId: () => store.get().lastEventId,
  })
  return { streams, store, stop, latest: () => streams.at(-1) as Stream }
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

test('a stream that breaks off is opened again, after the last event that was heard', async () => {
  const { streams, store, latest } = listening()
  latest().send('request', aRequest(), '17')
  latest().send('now', aSnapshot(), '17')
  latest().breakOff()
  expect(store.get().connection).toEqual({ state: 'lost', since: 1000 })
  expect(streams[0]?.isOpen).toBe(false)

  await vi.advanceTimersByTimeAsync(1000)
  expect(latest().url).toBe('/api/events?since=17')
  latest().send('now', aSnapshot())
  expect(store.get().connection).toEqual({ state: 'live' })
})

test('a service that is away for long is asked again and again, and found when it is back', async () => {
  let isBack = false
  const { streams, store, latest } = listening(() => isBack)
  latest().breakOff()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(streams).toHaveLength(1)
  expect(store.get().connection).toEqual({ state: 'lost', since: 1000 })

  isBack = true
  await vi.advanceTimersByTimeAsync(5000)
  expect(streams).toHaveLength(2)
})

test('a stream without a word is dead, even if the browser has not noticed', async () => {
  const { streams, store, latest } = listening()
  latest().send('now', aSnapshot())
  await vi.advanceTimersByTimeAsync(SILENCE_MS + 1000)
  expect(store.get().connection).toEqual({ state: 'lost', since: 1000 })
  await vi.advanceTimersByTimeAsync(1000)
  expect(streams).toHaveLength(2)
})

test('after a reset of the store no old id is asked for', async () => {
  const { latest } = listening()
  latest().send('request', aRequest(), '17')
  latest().send('reset', {}, '17')
  latest().send('now', aSnapshot(), '17')
  latest().breakOff()
  await vi.advanceTimersByTimeAsync(1000)
  expect(latest().url).toBe('/api/events')
})

test('who stops listening leaves no stream and no timer behind', async () => {
  const { streams, stop, latest } = listening()
  latest().breakOff()
  stop()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(streams.map(({ isOpen }) => isOpen)).toEqual([false])
  expect(vi.getTimerCount()).toBe(0)
})
