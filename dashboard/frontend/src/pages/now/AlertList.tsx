import type { Alert, Severity } from '../../api/now'
import { Icon } from '../../components/Icon'
import { formatWhen } from '../../lib/times'

const LOOKS: Record<Severity, string> = {
  critical: 'border-critical bg-critical-tint text-critical',
  warning: 'border-warning bg-warning-tint text-warning',
  info: 'border-line-strong bg-card text-soft',
}

/** What stands, the worst first, each with what to do about it. */
export function AlertList({ alerts, now }: { alerts: readonly Alert[]; now: number }) {
  if (alerts.length === 0) return null
  return (
    <section aria-label="Alerts">
      <ul className="mb-4 grid gap-2">
        {alerts.map(({ id, severity, title, advice, since }) => (
          <li key={id} className={`flex gap-3 rounded-lg border-l-4 px-4 py-2.5 ${LOOKS[severity]}`}>
            <Icon name={severity} className="mt-0.5 size-5" />
            <div className="min-w-0 flex-1 break-words">
              <p>
                <span className="sr-only">{severity}: </span>
                <span className="font-semibold">{title}</span>{' '}
                <span className="text-xs whitespace-nowrap">since {formatWhen(since, now)}</span>
              </p>
              <p className="text-text">{advice}</p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}
