import { getJson } from './http'
import type { Breakdown, paths } from './schema'

export type { Breakdown, By as BreakdownBy, Used as BreakdownRow } from './schema'

export type BreakdownQuery = NonNullable<paths['/api/breakdown']['get']['parameters']['query']>

export function getBreakdown(query: BreakdownQuery, signal?: AbortSignal): Promise<Breakdown> {
  return getJson('/api/breakdown', query, signal)
}
