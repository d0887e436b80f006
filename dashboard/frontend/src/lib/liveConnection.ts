/** Keeps the event stream open: notices when it is lost, and opens it again. The browser's parts are handed in. */

import { EVENT_NAMES, type EventName, eventsUrl } from '../api/events'
import type { LiveEvent } from './live'

/** A snapshot comes each second; a stream without a word for this long is dead, whatever the browser thinks. */
export const SILENCE_MS = 10_000
const PAUSES_MS = [1000, 2000, 4000, 5000]

export interface EventStream {
  addEventListener(name: string, listener: (event: MessageEvent<string>) => void): void
  onerror: ((event: Event) => void) | null
  close(): void
}

export interface LiveParts {
  open: (url: string) => EventStream
  /** Whether the service answers; it goes to the sign-in form by itself if the session has expired. */
  probe: () => Promise<unknown>
  dispatch: (event: LiveEvent) => void
  lastEventId: () => string | null
}

/** Listens until the returned function is called. */
export function keepListening({ open, probe, dispatch, lastEventId }: LiveParts): () => void {
  let stream: EventStream | null = null
  let heardAt = Date.now()
  let failures = 0
  let retry: ReturnType<typeof setTimeout> | undefined
  let isOver = false

  function listen() {
    stream = open(eventsUrl(lastEventId()))
    stream.onerror = lose
    for (const name of EVENT_NAMES) stream.addEventListener(name, (event) => hear(name, event))
    heardAt = Date.now()
  }

  function hear(name: EventName, event: MessageEvent<string>) {
    heardAt = Date.now()
    failures = 0
    // Only these have ids: for the others the browser repeats the one before, even after a `reset`.
    const id = name === 'request' || name === 'alert' ? { id: event.lastEventId } : {}
    dispatch({ kind: name, data: JSON.parse(event.data), ...id } as LiveEvent)
  }

  function lose() {
    stream?.close()
    stream = null
    dispatch({ kind: 'lost', since: heardAt / 1000 })
    retry = setTimeout(tryAgain, PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)])
    failures += 1
  }

  async function tryAgain() {
    const answers = await probe().then(
      () => true,
      () => false,
    )
    if (isOver) return
    if (answers) listen()
    else lose()
  }

  const watch = setInterval(() => {
    if (stream !== null && Date.now() - heardAt > SILENCE_MS) lose()
  }, 1000)
  listen()

  return () => {
    isOver = true
    clearInterval(watch)
    clearTimeout(retry)
    stream?.close()
  }
}
