import { useLive } from '../hooks/useLive'

/** Tells screen readers of what has changed for the whole, and of nothing else. */
export function Announcer() {
  const text = useLive((state) => state.announcement.text)
  const isLost = useLive((state) => state.connection.state === 'lost')
  return (
    <p aria-live="polite" className="sr-only">
      {isLost ? 'Connection to the dashboard lost.' : text}
    </p>
  )
}
