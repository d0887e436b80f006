import type { BreakdownRow } from '../../api/breakdown'
import { formatCompact, formatCount, formatMoney, formatShare } from '../../lib/numbers'
import { formatDuration } from '../../lib/times'
import { tokensInWords } from '../../lib/usage'

/** All of the time shown in a few numbers. */
export function Totals({ total }: { total: BreakdownRow }) {
  const [tokens, cached] = tokensInWords(total)
  const worked = total.requests === 0 ? null : total.ok / total.requests
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-3 rounded-xl border border-line bg-card p-4 sm:px-5 md:grid-cols-5">
      <Figure
        name="Requests"
        value={formatCount(total.requests)}
        detail={`${formatShare(worked)} went well`}
      />
      <Figure name="Tokens" value={tokens} detail={cached} />
      <Figure
        name="Cost at list price"
        value={formatMoney(total.cost_usd)}
        detail="what the API would charge"
      />
      <Figure name="Plan credits" value={formatCompact(total.credits)} detail="as far as known" />
      <Figure name="Mean duration" value={formatDuration(total.mean_duration)} detail="of all requests" />
    </dl>
  )
}

function Figure({ name, value, detail }: { name: string; value: string; detail: string }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-soft">{name}</dt>
      <dd>
        <span className="block text-lg/6 font-semibold">{value}</span>
        <span className="block text-xs text-soft">{detail}</span>
      </dd>
    </div>
  )
}
