/** What people call clients and sessions. Pure. */

import type { Name, NameKind } from '../api/names'

/** Names by what they are of. */
export type NameBook = ReadonlyMap<string, string>

export const NO_NAMES: NameBook = new Map()

/** As many characters as the service takes. */
export const LONGEST_NAME = 60

const place = (kind: NameKind, key: string) => `${kind} ${key}`

export function nameBook(names: readonly Name[]): NameBook {
  return new Map(names.map(({ kind, key, name }) => [place(kind, key), name]))
}

/** The name that a person gave, or null. */
export function givenName(names: NameBook, kind: NameKind, key: string | null): string | null {
  return key === null ? null : (names.get(place(kind, key)) ?? null)
}

/** The name that a person gave, with what it is of: `Anna's laptop (source-17)`; without one only that. */
export function nameAndKey(names: NameBook, kind: NameKind, key: string): string {
  const name = givenName(names, kind, key)
  return name === null ? key : `${name} (${key})`
}

/** The same of a value that need not be one that has names, as filters are. */
export function filterValueInWords(names: NameBook, filter: string, value: string): string {
  return filter === 'client' || filter === 'session' ? nameAndKey(names, filter, value) : value
}
