import type { QuotaWindow } from '../../api/now'
import { Badge } from '../../components/Badge'
import { Card } from '../../components/Card'
import { EmptyState } from '../../components/EmptyState'
import { Meter } from '../../components/Meter'
import { formatShare } from '../../lib/numbers'
import { elapsedShare, endsEarly, quotaForecast, quotaTone, windowName, windowUnit } from '../../lib/quota'
import { formatAge } from '../../lib/times'

const OLD_SECONDS = 600

interface QuotaCardProps {
  quota: readonly QuotaWindow[]
  plan: string | null
  now: number
}

/** How much of the plan is used, and whether the rest will last. */
export function QuotaCard({ quota, plan, now }: QuotaCardProps) {
  const ages = quota.flatMap(({ sample_age }) => (sample_age === null ? [] : [sample_age]))
  const age = ages.length === 0 ? null : Math.min(...ages)
  const isTimed = quota.some((window) => elapsedShare(window, now) !== null)
  return (
    <Card title="Quota" aside={plan === null ? undefined : `plan ${plan}`}>
      {quota.length === 0 ? (
        <EmptyState title="No figures">
          The proxy asks Z.AI how much of the plan is used, with a key that may: see QUOTA_POLL_INTERVAL.
        </EmptyState>
      ) : (
        <ul className="grid gap-4">
          {quota.map((window) => (
            <WindowItem key={`${window.window} ${window.limit_type}`} window={window} now={now} />
          ))}
        </ul>
      )}
      {isTimed && (
        <p className="mt-3 flex items-center gap-2 text-xs text-soft">
          <span className="h-4 w-0.5 rounded bg-text" />
          how much of the window's time is over
        </p>
      )}
      {age !== null && age > OLD_SECONDS && (
        <p className="mt-3 text-xs text-warning">These figures are {formatAge(age)} old.</p>
      )}
    </Card>
  )
}

function WindowItem({ window, now }: { window: QuotaWindow; now: number }) {
  const forecast = quotaForecast(window, now)
  const unit = windowUnit(window)
  const elapsed = elapsedShare(window, now)
  const time = elapsed === null ? '' : `, ${formatShare(elapsed)} of its time is over`
  const spoken = `${formatShare(window.used)} used, ${forecast}${time}`
  return (
    <li>
      <p className="mb-1.5 flex items-baseline justify-between gap-2">
        <span>
          <span className="font-medium">{windowName(window)}</span>
          {unit !== null && <span className="text-soft"> {unit}</span>}
        </span>
        <span className="text-lg/5 font-semibold">{formatShare(window.used)}</span>
      </p>
      <Meter
        label={`${windowName(window)} quota used`}
        text={spoken}
        share={window.used}
        tone={quotaTone(window)}
        mark={elapsed}
      />
      <p className="mt-1.5 flex flex-wrap items-center gap-x-2 gap-y-1 text-xs/5 text-soft">
        {window.gate_closed && <Badge tone="critical">closed: new requests are refused</Badge>}
        {!window.gate_closed && endsEarly(window) && <Badge tone="warning">will not last</Badge>}
        <span>{forecast}</span>
      </p>
    </li>
  )
}
