import type { Alert, Level, Now } from '../../api/now'
import { Badge } from '../../components/Badge'
import { Icon } from '../../components/Icon'
import { targetsInWords } from '../../lib/requestWords'
import { formatClock, formatMoment, formatWhen } from '../../lib/times'

const LOOKS: Record<Level, { colour: string; word: string }> = {
  ok: { colour: 'text-ok', word: 'OK' },
  warning: { colour: 'text-warning', word: 'Warning' },
  critical: { colour: 'text-critical', word: 'Critical' },
  unknown: { colour: 'text-soft', word: 'Unknown' },
}

interface HeadlineProps {
  now: Now
  /** The trouble that the headline speaks of. */
  alert: Alert | undefined
}

/** Is it working, and if not, what to do? */
export function Headline({ now, alert }: HeadlineProps) {
  const { level, headline, since } = now.health
  const { colour, word } = LOOKS[level]
  const proxies = targetsInWords(now.targets)
  return (
    <div className="mb-4 flex items-start gap-3">
      <Icon name={level} className={`mt-0.5 size-8 ${colour}`} />
      <div className="min-w-0">
        <h1 className="text-xl/7 font-semibold text-balance break-words sm:text-2xl/9">
          <span className="sr-only">{word}: </span>
          {headline}
        </h1>
        {alert !== undefined && <p className="text-base text-pretty break-words">{alert.advice}</p>}
        <p className="flex flex-wrap items-center gap-x-4 text-soft">
          {since !== null && <span>since {formatWhen(since, now.at)}</span>}
          {proxies !== null && <span>{proxies}</span>}
          <span title={formatMoment(now.at)}>as of {formatClock(now.at, true)}</span>
          {now.workers.draining && <Badge tone="warning">draining: takes no new requests</Badge>}
        </p>
      </div>
    </div>
  )
}
