import { getJson } from './http'
import type { Targets } from './schema'

export type { Feed as FeedState, StoreState, Target, Targets } from './schema'

export function getTargets(signal?: AbortSignal): Promise<Targets> {
  return getJson('/api/targets', {}, signal)
}
