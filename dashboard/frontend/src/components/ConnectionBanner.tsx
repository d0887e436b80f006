import { useClock } from '../hooks/useClock'
import { useLive } from '../hooks/useLive'
import { formatAge } from '../lib/times'
import { Icon } from './Icon'

/** Stands over everything while nothing is heard from the dashboard. */
export function ConnectionBanner() {
  const connection = useLive((state) => state.connection)
  return connection.state === 'lost' ? <Lost since={connection.since} /> : null
}

function Lost({ since }: { since: number }) {
  const now = useClock()
  return (
    <section
      aria-label="Connection"
      className="sticky top-0 z-10 flex items-center justify-center gap-2 border-b border-critical bg-critical-tint px-4 py-2 font-medium text-critical"
    >
      <Icon name="offline" />
      <p>
        Connection lost, since {formatAge(now - since)}.{' '}
        <span className="font-normal">What is shown is from then. Trying again by itself.</span>
      </p>
    </section>
  )
}
