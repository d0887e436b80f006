/** The plan's windows in words and colours, in the reader's time zone. */

import type { QuotaWindow } from '../api/now'
import { formatWhen } from './times'

export type Tone = 'ok' | 'warning' | 'critical' | 'neutral'

/** The windows that the page has words for; any other is shown by its name. `seconds` where a window is always as long. */
const WINDOWS: Record<string, { name: string; seconds?: number }> = {
  five_hour: { name: '5 hours', seconds: 18_000 },
  daily: { name: 'Day', seconds: 86_400 },
  weekly: { name: 'Week', seconds: 604_800 },
  monthly: { name: 'Month' },
}
const OF_WHAT: Record<string, string> = {
  TOKENS_LIMIT: 'tokens',
  CREDIT_LIMIT: 'credits',
  TIME_LIMIT: 'tool calls',
}
const NEARLY = 0.9

export function windowName({ window }: Pick<QuotaWindow, 'window'>): string {
  return WINDOWS[window]?.name ?? window.replaceAll('_', ' ')
}

/** What the window limits: `tokens`, `credits`, `tool calls`; null if it is of a kind that is not known here. */
export function windowUnit({ limit_type }: Pick<QuotaWindow, 'limit_type'>): string | null {
  return OF_WHAT[limit_type] ?? null
}

export function endsEarly(window: QuotaWindow): boolean {
  const { runs_out_at: end, resets_at: reset } = window
  return end !== null && (reset === null || end < reset)
}

export function quotaTone(window: QuotaWindow): Tone {
  if (window.gate_closed || (window.used ?? 0) >= 1) return 'critical'
  if (endsEarly(window) || (window.used ?? 0) >= NEARLY) return 'warning'
  return window.used === null ? 'neutral' : 'ok'
}

/** `lasts until 16:40, resets 18:19`. `now` in Unix seconds. */
export function quotaForecast(window: QuotaWindow, now: number): string {
  const resets = window.resets_at === null ? null : `resets ${formatWhen(window.resets_at, now)}`
  if (window.used === null) return resets ?? 'no figures'
  if (window.used >= 1) return `used up, ${resets ?? 'its reset is not known'}`
  if (window.used === 0 && resets === null) return 'nothing used, opens with the next request'
  if (endsEarly(window)) {
    const until = `lasts until ${formatWhen(window.runs_out_at, now)}`
    return resets === null ? until : `${until}, ${resets}`
  }
  if (resets === null) return 'its reset is not known'
  if (window.unused_at_reset === null) return resets
  return `lasts, ${resets} with about ${Math.round(window.unused_at_reset * 100)} % left`
}

/** How much of the window's time is over, 0 to 1; null where its length or its end is not known. */
export function elapsedShare(window: QuotaWindow, now: number): number | null {
  const length = WINDOWS[window.window]?.seconds
  if (length === undefined || window.resets_at === null) return null
  return Math.min(1, Math.max(0, 1 - (window.resets_at - now) / length))
}
