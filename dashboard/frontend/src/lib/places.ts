/** Who sits on the places of the proxies: those that run, those that wait for their turn, and what is free. */

import type { Now } from '../api/now'
import { formatCount, UNKNOWN } from './numbers'

export interface Places {
  /** Sent upstream; null if nobody knows. */
  running: number | null
  waiting: number
  /** What the plan allows to run at this moment. */
  limit: number | null
  /** All there are: MAX_WORKERS. */
  wall: number | null
}

/** A request that waits for its turn holds a place too, so `busy` counts both. Not every proxy lists what it runs. */
export function places({ workers, waiting_total, running_total }: Now): Places {
  const unlisted = workers.busy === null ? null : Math.max(0, workers.busy - waiting_total)
  return {
    running: running_total || unlisted,
    waiting: waiting_total,
    limit: workers.limit,
    wall: workers.wall,
  }
}

/** What a screen reader says of the meter. */
export function placesInWords({ running, waiting, limit, wall }: Places): string {
  const parts = [`${running === null ? 'unknown how many' : formatCount(running)} running`]
  if (limit !== null) parts.push(`the plan allows ${formatCount(limit)}`)
  if (waiting > 0) parts.push(`${formatCount(waiting)} waiting`)
  if (wall !== null) parts.push(`${formatCount(wall)} places in all`)
  return parts.join(', ')
}

export type Place = 'running' | 'waiting' | 'free' | 'beyond'

/** Each place by itself, in the order in which they are drawn; `beyond` are free ones that the plan does not allow now. */
export function placeList({ running, waiting, limit, wall }: Places): Place[] {
  const busy = (running ?? 0) + waiting
  const allowed = Math.max(limit ?? wall ?? 0, running ?? 0)
  return Array.from({ length: Math.max(wall ?? 0, busy) }, (_, index) => {
    if (index < (running ?? 0)) return 'running'
    if (index < busy) return 'waiting'
    return index < allowed ? 'free' : 'beyond'
  })
}

/** `5 / 8`. */
export function placesShort({ running, limit, wall }: Places): [string, string] {
  return [formatCount(running), limit === null && wall === null ? UNKNOWN : formatCount(limit ?? wall)]
}
