/** What became of a request, moment by moment, in seconds since it came in. */

import type { FinishedRequest } from '../api/requests'
import { formatDuration } from './times'

export type Stretch = 'queued' | 'silent' | 'answer'

export interface Timeline {
  /** One after the other from 0 to the end, none of them empty. */
  stretches: readonly { kind: Stretch; from: number; to: number }[]
  moments: readonly { name: string; at: number }[]
  /** The whole, in seconds. */
  duration: number
}

export const STRETCHES: Record<Stretch, string> = {
  queued: 'queued',
  silent: 'waiting for the first byte',
  answer: 'answer',
}

export function timeline(request: FinishedRequest): Timeline {
  const { duration, outcome } = request
  const isRefused = outcome === 'refused'
  const sent = isRefused ? duration : within(request.waited ?? 0, 0, duration)
  const first = request.first_byte === null ? null : within(request.first_byte, sent, duration)
  const bounds: [Stretch, number, number][] = [
    ['queued', 0, sent],
    ['silent', sent, first ?? duration],
    ['answer', first ?? duration, duration],
  ]
  return {
    stretches: bounds.filter(([, from, to]) => to > from).map(([kind, from, to]) => ({ kind, from, to })),
    moments: [
      { name: 'Came in', at: 0 },
      ...(isRefused ? [] : [{ name: 'Sent to Z.AI', at: sent }]),
      ...(first === null ? [] : [{ name: 'First byte', at: first }]),
      { name: ENDS[outcome], at: duration },
    ],
    duration,
  }
}

const ENDS: Record<FinishedRequest['outcome'], string> = {
  ok: 'Last byte',
  failed: 'Ended',
  aborted: 'Client left',
  refused: 'Refused',
}

/** What a screen reader says of the bar. */
export function timelineInWords({ stretches, duration }: Timeline): string {
  const parts = stretches.map(({ kind, from, to }) => `${formatDuration(to - from)} ${STRETCHES[kind]}`)
  return [`${formatDuration(duration)} in all`, ...parts].join(', ')
}

function within(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}
