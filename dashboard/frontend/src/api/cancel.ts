import { postJson } from './http'

/** Ends a running or waiting request; `id` is that of `Now.running` or `Now.waiting`. */
export function cancelRequest(id: string): Promise<{ cancelled: string }> {
  return postJson(`/api/requests/${encodeURIComponent(id)}/cancel`)
}
