/** A table that follows live: what has come since it was loaded goes on top. */

import type { FinishedRequest } from '../api/requests'
import { MOST_REQUESTS } from './live'

/** With so many new rows on top the table is loaded anew. Until it is, no more than these are shown above the loaded page. */
export const MOST_ON_TOP = 50
const NEARLY_FORGOTTEN = MOST_REQUESTS - 100

export interface Followed {
  rows: readonly FinishedRequest[]
  /** How many have come and are not shown. */
  unseen: number
  /** Whether the loaded page is so old that it is better loaded anew. */
  isOld: boolean
}

interface Following {
  /** As loaded, newest first. */
  loaded: readonly FinishedRequest[]
  /** What the event stream told, newest first. */
  live: readonly FinishedRequest[]
  matches: (request: FinishedRequest) => boolean
  /** Requests with a larger id are held back; null: none is. */
  heldAt: number | null
}

export function follow({ loaded, live, matches, heldAt }: Following): Followed {
  const newest = newestId(loaded)
  const later = live.filter(({ id }) => id > newest)
  const fitting = later.filter(matches)
  const held = heldAt ?? Number.POSITIVE_INFINITY
  const onTop = fitting.filter(({ id }) => id <= held)
  return {
    rows:
      onTop.length === 0 ? loaded : [...onTop, ...loaded].sort(byEnd).slice(0, loaded.length + MOST_ON_TOP),
    unseen: fitting.length - onTop.length,
    isOld: heldAt === null && (onTop.length >= MOST_ON_TOP || later.length >= NEARLY_FORGOTTEN),
  }
}

export function newestId(requests: readonly FinishedRequest[]): number {
  return requests.reduce((newest, { id }) => Math.max(newest, id), 0)
}

/** Requests get their ids in the order in which the dashboard hears of them, which is not quite the one in which they end. */
function byEnd(one: FinishedRequest, other: FinishedRequest): number {
  return other.ended - one.ended || other.id - one.id
}
