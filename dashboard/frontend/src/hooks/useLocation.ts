import { useMemo, useSyncExternalStore } from 'react'

export interface Location {
  path: string
  search: URLSearchParams
}

const MOVED = 'zai:moved'

/** The address of the page, kept up to date. `search` stays the same object as long as nothing in it changes. */
export function useLocation(): Location {
  const path = useSyncExternalStore(subscribe, () => window.location.pathname)
  const query = useSyncExternalStore(subscribe, () => window.location.search)
  return useMemo(() => ({ path, search: new URLSearchParams(query) }), [path, query])
}

/** Goes to another address of the dashboard. `replace`: without a step to go back to, for what changes while one looks. */
export function navigate(to: string, { replace = false } = {}): void {
  if (to === window.location.pathname + window.location.search) return
  window.history[replace ? 'replaceState' : 'pushState'](null, '', to)
  window.dispatchEvent(new Event(MOVED))
}

/** Changes parameters of this page's address; `null` or an empty list takes one away. */
export function setSearch(
  changes: Record<string, string | readonly string[] | null | undefined>,
  options: { replace?: boolean } = {},
): void {
  const search = new URLSearchParams(window.location.search)
  for (const [name, value] of Object.entries(changes)) {
    search.delete(name)
    for (const each of typeof value === 'string' ? [value] : (value ?? [])) search.append(name, each)
  }
  const text = search.toString()
  navigate(window.location.pathname + (text === '' ? '' : `?${text}`), options)
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('popstate', listener)
  window.addEventListener(MOVED, listener)
  return () => {
    window.removeEventListener('popstate', listener)
    window.removeEventListener(MOVED, listener)
  }
}
