import type { RequestIdentity, TokenCountsWithReasoning } from './common'
import { getJson, type Query } from './http'

export type Outcome = 'ok' | 'failed' | 'aborted' | 'refused'

export interface FinishedRequest extends RequestIdentity {
  /** Rises with every stored request and is never used twice. */
  id: number
  feed_id: string
  /** The `id` that it had in `Now.running`. */
  running_id: string | null
  started: number | null
  ended: number
  status: number | null
  outcome: Outcome
  error: string | null
  refused: string | null
  code: string | null
  waited: number | null
  first_byte: number | null
  duration: number | null
  request_bytes: number | null
  response_bytes: number | null
  tokens: TokenCountsWithReasoning
  tokens_are: string | null
  cost_usd: number | null
  credits: number | null
  attempts: number | null
}

export interface RequestsPage {
  requests: FinishedRequest[]
  next: string | null
  total: number
  total_is_exact: boolean
  lost: { requests: number; unknown_gaps: number }
}

export type RequestSort =
  | 'ended'
  | 'duration'
  | 'first_byte'
  | 'waited'
  | 'tokens'
  | 'cost_usd'
  | 'request_bytes'
  | 'response_bytes'
  | 'attempts'

export interface RequestsQuery extends Query {
  from?: string
  to?: string
  client?: string[]
  session?: string[]
  agent?: string[]
  lane?: string[]
  model?: string[]
  path?: string[]
  method?: string[]
  /** `200`, or a class: `4xx`. */
  status?: string[]
  outcome?: Outcome[]
  target?: string
  search?: string
  sort?: RequestSort
  order?: 'asc' | 'desc'
  limit?: number
  after?: string
}

export function getRequests(query: RequestsQuery, signal?: AbortSignal): Promise<RequestsPage> {
  return getJson('/api/requests', query, signal)
}

export function getRequest(id: number, signal?: AbortSignal): Promise<FinishedRequest> {
  return getJson(`/api/requests/${id}`, {}, signal)
}
