import type { Limit, TargetState } from '../../api/now'
import { Card } from '../../components/Card'
import { EmptyState } from '../../components/EmptyState'
import { formatCompact } from '../../lib/numbers'
import { limitInWords, limitOwner } from '../../lib/requestWords'
import { formatClock, formatMoment } from '../../lib/times'

const LATEST = 3

interface LimitsCardProps {
  limits: readonly Limit[]
  targets: readonly TargetState[]
  now: number
}

/** What the proxies have learned that the plan allows, and why it last changed. */
export function LimitsCard({ limits, targets }: LimitsCardProps) {
  const names = new Map(targets.map(({ id, name }) => [id, name]))
  const isOne = targets.length === 1
  return (
    <Card title="Learned limits">
      {limits.length === 0 ? (
        <EmptyState title="Nothing learned">
          No proxy tells of limits: pacing is off, or none has answered.
        </EmptyState>
      ) : (
        <ul className="grid gap-x-8 gap-y-4 sm:grid-cols-2">
          {limits.map((limit) => (
            <LimitItem
              key={`${limit.target} ${limit.name}`}
              limit={limit}
              of={isOne ? null : limitOwner(limit, names)}
            />
          ))}
        </ul>
      )}
    </Card>
  )
}

function LimitItem({ limit, of }: { limit: Limit; of: string | null }) {
  return (
    <li className="min-w-0">
      <p className="flex flex-wrap items-baseline gap-x-2">
        <span className="text-lg font-semibold">{limitInWords(limit)}</span>
        <span>{limit.name}</span>
        {limit.ceiling !== null && <span className="text-soft">ceiling {formatCompact(limit.ceiling)}</span>}
        {of !== null && <span className="text-soft">{of}</span>}
      </p>
      {limit.moves.length === 0 ? (
        <p className="text-xs text-soft">has not moved yet</p>
      ) : (
        <Moves moves={limit.moves.slice(0, LATEST)} />
      )}
      {limit.moves.length > LATEST && (
        <details className="text-xs text-soft">
          <summary className="w-fit rounded">{limit.moves.length - LATEST} earlier</summary>
          <Moves moves={limit.moves.slice(LATEST)} />
        </details>
      )}
    </li>
  )
}

function Moves({ moves }: { moves: Limit['moves'] }) {
  return (
    <ol className="text-xs/5 text-soft">
      {moves.map(({ at, text }) => (
        <li key={`${at} ${text}`} className="flex gap-2">
          <time dateTime={new Date(at * 1000).toISOString()} title={formatMoment(at)}>
            {formatClock(at, true)}
          </time>
          <span className="min-w-0 break-words text-text">{text}</span>
        </li>
      ))}
    </ol>
  )
}
