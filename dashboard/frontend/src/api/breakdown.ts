import type { TokenCountsWithReasoning } from './common'
import { getJson, type Query } from './http'

export type BreakdownBy = 'client' | 'session' | 'agent' | 'model' | 'lane' | 'path' | 'hour' | 'day'

export interface Breakdown {
  by: BreakdownBy
  from: number
  to: number
  /** 0: exactly this window. 3600 or 86400: widened to whole hours or days. */
  resolution: number
  rows: BreakdownRow[]
  other: BreakdownRow | null
  total: BreakdownRow
}

export interface BreakdownRow {
  /** Unix seconds for hours and days; null where a request had none. */
  key: string | number | null
  requests: number
  ok: number
  failed: number
  aborted: number
  refused: number
  retries: number
  tokens: TokenCountsWithReasoning
  cost_usd: number | null
  credits: number | null
  request_bytes: number | null
  response_bytes: number | null
  mean_duration: number | null
  wasted: { requests: number; tokens: number; cost_usd: number | null }
}

export interface BreakdownQuery extends Query {
  by: BreakdownBy
  from?: string
  to?: string
  client?: string[]
  session?: string[]
  agent?: string[]
  model?: string[]
  lane?: string[]
  path?: string[]
  target?: string
  limit?: number
}

export function getBreakdown(query: BreakdownQuery, signal?: AbortSignal): Promise<Breakdown> {
  return getJson('/api/breakdown', query, signal)
}
