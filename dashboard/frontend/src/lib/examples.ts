/** Values for tests: what the service sends, with what a test cares about replaced. */

import type { Breakdown, BreakdownRow } from '../api/breakdown'
import type { Cache, CacheLoss, Now, QuotaWindow, RunningRequest } from '../api/now'
import type { FinishedRequest } from '../api/requests'
import type { Series, SeriesChart } from '../api/series'

const identity = {
  target: 1,
  request_id: '6f1c',
  method: 'POST',
  path: '/v1/messages',
  client: 'laptop-anna',
  program: 'Claude Code',
  session: '3f0a',
  agent: null,
  lane: 'main',
  model: 'glm-5.3',
  model_asked: 'glm-5.3',
}

export function aSnapshot(changes: Partial<Now> = {}): Now {
  return {
    at: 1_764_000_000,
    version: '0.1.0',
    notice: null,
    health: { level: 'ok', headline: 'Working: 5 of 8 places busy.', since: null },
    workers: { busy: 5, limit: 8, wall: 20, draining: false },
    running: [],
    running_total: 0,
    waiting: [],
    waiting_total: 0,
    lanes: [],
    limits: [],
    model_limits: [],
    plan: 'GLM Coding Max',
    quota: [],
    per_minute: {
      requests: 14,
      failed: 0,
      tokens: { input: 20_311, output: 9120, cache_read: 181_200, cache_write: 0 },
      cost_usd: 0.081,
      credits: 1.2,
      seconds: 60,
    },
    cache: aCache(),
    errors: [],
    alerts: [],
    targets: [{ id: 1, name: '127.0.0.1:9090', state: 'up' }],
    scrape_interval: 5,
    can_name: true,
    can_cancel: true,
    cancel_hint: null,
    ...changes,
  }
}

export function aCache(changes: Partial<Cache> = {}): Cache {
  return {
    doctor: false,
    seconds: 3600,
    input_tokens: 5_000_000,
    cached_tokens: 4_500_000,
    cacheable_tokens: 4_650_000,
    unknown_tokens: 0,
    losses: [],
    ...changes,
  }
}

export function aCacheLoss(changes: Partial<CacheLoss> = {}): CacheLoss {
  return {
    target: 1,
    client: 'laptop-anna',
    program: 'Claude Code',
    requests: 120,
    input_tokens: 5_000_000,
    cached_tokens: 200_000,
    cacheable_tokens: 4_650_000,
    unknown_tokens: 0,
    lost_usd: 1.2,
    lost_credits: 340,
    cold: 1,
    findings: [],
    ...changes,
  }
}

export function aRunningRequest(changes: Partial<RunningRequest> = {}): RunningRequest {
  return {
    ...identity,
    id: 'b7c1-41',
    age: 63.2,
    silent: 0.4,
    request_bytes: 81_234,
    response_bytes: 20_480,
    tokens_estimated: 1640,
    ...changes,
  }
}

export function aRequest(changes: Partial<FinishedRequest> = {}): FinishedRequest {
  return {
    ...identity,
    id: 4711,
    feed_id: 'b7c1-39',
    running_id: 'b7c1-41',
    started: 1_763_999_980.1,
    ended: 1_763_999_990.4,
    status: 200,
    outcome: 'ok',
    error: null,
    refused: null,
    code: null,
    waited: 0,
    first_byte: 1.31,
    duration: 10.3,
    request_bytes: 81_234,
    response_bytes: 20_480,
    tokens: { input: 812, output: 1640, cache_read: 18_000, cache_write: 0, reasoning: 300 },
    tokens_are: 'complete',
    cost_usd: 0.0123,
    credits: 0.4,
    attempts: 1,
    ...changes,
  }
}

export function aQuotaWindow(changes: Partial<QuotaWindow> = {}): QuotaWindow {
  return {
    window: 'five_hour',
    limit_type: 'TOKENS_LIMIT',
    used: 0.37,
    resets_at: 1_764_004_740,
    runs_out_at: null,
    unused_at_reset: null,
    gate_closed: false,
    sample_age: 31,
    text: null,
    ...changes,
  }
}

/** Lines by their label, each with its values. */
export function aChart(
  lines: Record<string, (number | null)[]>,
  changes: Partial<SeriesChart> = {},
): SeriesChart {
  return {
    name: 'requests',
    title: 'Requests by status',
    kind: 'sum',
    unit: 'requests',
    lines: Object.entries(lines).map(([label, values]) => ({
      label,
      labels: { status: label },
      values,
      total: values.reduce<number>((sum, value) => sum + (value ?? 0), 0),
    })),
    ...changes,
  }
}

export function aSeries(charts: SeriesChart[], changes: Partial<Series> = {}): Series {
  const points = charts[0]?.lines[0]?.values.length ?? 0
  return {
    from: 1000,
    to: 1000 + 60 * points,
    step: 60,
    points,
    last_is_partial: false,
    charts,
    marks: [],
    ...changes,
  }
}

export function aUsageRow(changes: Partial<BreakdownRow> = {}): BreakdownRow {
  return {
    key: 'laptop-anna',
    requests: 812,
    ok: 790,
    failed: 9,
    aborted: 13,
    refused: 0,
    retries: 0,
    tokens: { input: 120_311, output: 91_200, cache_read: 1_812_000, cache_write: 0, reasoning: 20_000 },
    cost_usd: 4.1,
    credits: 61,
    request_bytes: 91_000_000,
    response_bytes: 8_100_000,
    mean_duration: 12.1,
    wasted: { requests: 22, tokens: 20_110, cost_usd: 0.12 },
    programs: ['Claude Code'],
    ...changes,
  }
}

export function aBreakdown(changes: Partial<Breakdown> = {}): Breakdown {
  const row = aUsageRow()
  return {
    by: 'client',
    from: 1_763_913_600,
    to: 1_764_000_000,
    resolution: 0,
    rows: [row],
    other: null,
    total: aUsageRow({ key: null }),
    ...changes,
  }
}
