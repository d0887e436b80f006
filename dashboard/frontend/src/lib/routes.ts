/** The pages and their paths. */

export const PAGES = [
  { path: '/', name: 'Now' },
  { path: '/history', name: 'History' },
  { path: '/requests', name: 'Requests' },
  { path: '/usage', name: 'Usage' },
] as const

export type PageName = (typeof PAGES)[number]['name']

/** The page at this path, a slash at its end or not; null if there is none. */
export function pageAt(path: string): PageName | null {
  const plain = path.length > 1 ? path.replace(/\/+$/, '') : path
  return PAGES.find((page) => page.path === plain)?.name ?? null
}
