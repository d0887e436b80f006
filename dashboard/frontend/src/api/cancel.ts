import { postJson } from './http'
import type { Cancelled } from './schema'

/** Ends a running or waiting request; `id` is that of `Now.running` or `Now.waiting`. */
export function cancelRequest(id: string): Promise<Cancelled> {
  return postJson(`/api/requests/${encodeURIComponent(id)}/cancel`)
}
