import { putJson } from './http'
import type { Name, Names } from './schema'

export type { Name, NameKind, Names } from './schema'

/** Gives a client or a session a name; an empty one takes it away. All names come back, and to every open page. */
export function saveName(name: Name): Promise<Names> {
  return putJson('/api/names', name)
}
