import type { RequestIdentity, TokenCounts } from './common'

/** `GET /api/now`, and the event `now`. `null` is a value that nobody knows. */
export interface Now {
  at: number
  version: string
  health: Health
  workers: Workers
  running: RunningRequest[]
  running_total: number
  waiting: WaitingRequest[]
  waiting_total: number
  lanes: Lane[]
  limits: Limit[]
  plan: string | null
  quota: QuotaWindow[]
  per_minute: PerMinute
  errors: ErrorGroup[]
  alerts: Alert[]
  targets: TargetState[]
  scrape_interval: number
  can_cancel: boolean
  cancel_hint: string | null
}

export type Level = 'ok' | 'warning' | 'critical' | 'unknown'
export type Severity = 'info' | 'warning' | 'critical'

export interface Health {
  level: Level
  headline: string
  since: number | null
}

/** Places over all proxies that answer. `limit` is what the plan allows now, `wall` is MAX_WORKERS. */
export interface Workers {
  busy: number | null
  limit: number | null
  wall: number | null
  draining: boolean
}

export interface RunningRequest extends RequestIdentity {
  id: string
  age: number
  /** Seconds since its answer last grew. */
  silent: number | null
  request_bytes: number | null
  response_bytes: number | null
  tokens_estimated: number | null
}

export interface WaitingRequest extends RequestIdentity {
  id: string
  waited: number
}

export interface Lane {
  lane: string
  running: number
  waiting: number
  longest_wait: number | null
}

export interface LimitMove {
  at: number
  text: string
}

export interface Limit {
  target: number
  /** How many of the proxies share it; `used` is of all of them. */
  replicas: number
  name: string
  value: number | null
  ceiling: number | null
  used: number | null
  /** Newest first. */
  moves: LimitMove[]
}

export interface QuotaWindow {
  window: string
  limit_type: string
  /** Share of the window's allowance, 0 to 1 and beyond. */
  used: number | null
  resets_at: number | null
  runs_out_at: number | null
  unused_at_reset: number | null
  gate_closed: boolean
  sample_age: number | null
  /** In UTC; the page makes its own sentence. */
  text: string | null
}

export interface PerMinute {
  requests: number | null
  failed: number | null
  tokens: TokenCounts
  cost_usd: number | null
  credits: number | null
  seconds: number
}

export interface ErrorGroup {
  source: 'zai' | 'way' | 'proxy'
  class: string
  count: number
  codes: Record<string, number>
  title: string
  advice: string
  seconds: number
}

export interface Alert {
  id: string
  severity: Severity
  title: string
  advice: string
  since: number
}

export interface TargetState {
  id: number
  name: string
  state: 'up' | 'late' | 'stale' | 'new'
}
