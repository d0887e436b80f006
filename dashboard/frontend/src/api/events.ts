import type { Alert, Now, Severity } from './now'
import type { FinishedRequest } from './requests'

/** The event `alert`. */
export interface AlertChange extends Omit<Alert, 'since'> {
  state: 'raised' | 'cleared'
  severity: Severity
  at: number
}

/** What `/api/events` sends, by the name of the event. */
export interface EventData {
  now: Now
  request: FinishedRequest
  alert: AlertChange
  gap: { lost: number }
  reset: Record<string, never>
}

export type EventName = keyof EventData

export const EVENT_NAMES: readonly EventName[] = ['now', 'request', 'alert', 'gap', 'reset']

/** `since` is the id of the last event that was heard; without one only new events come. */
export function eventsUrl(since: string | null): string {
  return since === null ? '/api/events' : `/api/events?since=${encodeURIComponent(since)}`
}
