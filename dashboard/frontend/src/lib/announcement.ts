import type { Now } from '../api/now'

/** What is read out, and what it is about. */
export interface Announcement {
  about: string
  text: string
}

export const SILENCE: Announcement = { about: '', text: '' }

/**
 * What to read out now. It stays what it was `before` as long as the level and the trouble behind it are the same: the numbers
 * in a headline change each second, and nobody wants to hear them that often.
 */
export function announce(before: Announcement, { health, alerts }: Now): Announcement {
  const about = health.level === 'ok' ? 'ok' : `${health.level} ${alerts[0]?.id ?? ''}`
  if (about === before.about) return before
  return { about, text: health.level === 'ok' ? 'Everything works.' : health.headline }
}
