import { getJson } from './http'
import type { TargetState } from './now'

export interface Targets {
  targets: Target[]
  store: StoreState
  names: { source: string; addresses: number; error: string | null }[]
}

export interface Target extends TargetState {
  url: string
  error: string | null
  last_answer: number | null
  age: number | null
  misses: number
  scrape_seconds: number | null
  series: number
  started: number | null
  version: string | null
  variant: string | null
  status: { state: string; error: string | null }
  feed: FeedState
}

export interface FeedState {
  state: 'up' | 'connecting' | 'down' | 'denied' | 'absent'
  error: string | null
  received: number
  lost: number
  unknown_gaps: number
}

export interface StoreState {
  path: string
  bytes: number | null
  error: string | null
  requests: number | null
  oldest_request: number | null
  set_aside: string | null
}

export function getTargets(signal?: AbortSignal): Promise<Targets> {
  return getJson('/api/targets', {}, signal)
}
