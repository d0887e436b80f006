import type { AlertChange, Gap, Names, Now, Request, Reset } from './schema'

/** What `/api/events` sends, by the name of the event. */
export interface EventData {
  now: Now
  request: Request
  alert: AlertChange
  names: Names
  gap: Gap
  reset: Reset
}

export type { AlertChange } from './schema'

export type EventName = keyof EventData

export const EVENT_NAMES: readonly EventName[] = ['now', 'request', 'alert', 'names', 'gap', 'reset']

/** `since` is the id of the last event that was heard; without one only new events come. */
export function eventsUrl(since: string | null): string {
  return since === null ? '/api/events' : `/api/events?since=${encodeURIComponent(since)}`
}
