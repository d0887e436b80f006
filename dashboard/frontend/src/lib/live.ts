/** What the event stream has told so far. Pure: whoever listens brings the events and the time. */

import type { AlertChange, EventData, EventName } from '../api/events'
import type { Now } from '../api/now'
import type { FinishedRequest } from '../api/requests'
import { type Announcement, announce, SILENCE } from './announcement'
import { type NameBook, NO_NAMES, nameBook } from './names'

export const MOST_REQUESTS = 500
export const MOST_ALERTS = 100

export interface LiveState {
  /** The latest snapshot; it stays while the connection is lost. */
  now: Now | null
  connection: Connection
  /** What screen readers are told. */
  announcement: Announcement
  /** Finished since the page was opened, newest first, each once. */
  requests: readonly FinishedRequest[]
  /** Raised and cleared since the page was opened, newest first. */
  alerts: readonly AlertChange[]
  /** What people call clients and sessions. */
  names: NameBook
  /** Rises when events were missed for good: tables have to be loaded anew. */
  generation: number
  /** The id to go on after when the stream is opened anew. */
  lastEventId: string | null
}

export type Connection =
  | { state: 'connecting' }
  | { state: 'live' }
  /** `since` is when something was last heard, in Unix seconds of the reader's clock. */
  | { state: 'lost'; since: number }

export const SILENT: LiveState = {
  now: null,
  connection: { state: 'connecting' },
  announcement: SILENCE,
  requests: [],
  alerts: [],
  names: NO_NAMES,
  generation: 0,
  lastEventId: null,
}

export type LiveEvent =
  | { [Name in EventName]: { kind: Name; data: EventData[Name]; id?: string } }[EventName]
  | { kind: 'lost'; since: number }

export function reduceLive(state: LiveState, event: LiveEvent): LiveState {
  if (event.kind === 'lost') {
    // The first moment counts: each vain attempt to connect reports the loss again.
    return state.connection.state === 'lost'
      ? state
      : { ...state, connection: { state: 'lost', since: event.since } }
  }
  // Without an id to go on after, nobody replays what was missed meanwhile.
  const hasMissed = state.connection.state === 'lost' && state.lastEventId === null
  const heard: LiveState = {
    ...state,
    connection: live(state.connection),
    lastEventId: event.id || state.lastEventId,
    generation: state.generation + (hasMissed ? 1 : 0),
  }
  switch (event.kind) {
    case 'now':
      return { ...heard, now: event.data, announcement: announce(state.announcement, event.data) }
    case 'request':
      return { ...heard, requests: withRequest(state.requests, event.data) }
    case 'alert':
      return { ...heard, alerts: [event.data, ...state.alerts].slice(0, MOST_ALERTS) }
    case 'names':
      return { ...heard, names: nameBook(event.data.names) }
    case 'gap':
      return { ...heard, generation: state.generation + 1 }
    case 'reset':
      return { ...heard, requests: [], alerts: [], lastEventId: null, generation: state.generation + 1 }
  }
}

function live(connection: Connection): Connection {
  return connection.state === 'live' ? connection : { state: 'live' }
}

function withRequest(
  known: readonly FinishedRequest[],
  request: FinishedRequest,
): readonly FinishedRequest[] {
  // A replay may repeat what is known; ids rise, so only the newest have to be looked at.
  for (const each of known) {
    if (each.id === request.id) return known
    if (each.id < request.id) break
  }
  return [request, ...known].slice(0, MOST_REQUESTS)
}
