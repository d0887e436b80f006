import type { ErrorGroup } from '../../api/now'
import { Badge } from '../../components/Badge'
import { Card } from '../../components/Card'
import { EmptyState } from '../../components/EmptyState'
import { formatCount } from '../../lib/numbers'

const SOURCES: Record<ErrorGroup['source'], string> = {
  zai: 'Z.AI',
  way: 'on the way',
  proxy: 'refused here',
}

/** What went wrong in the last 15 minutes, most frequent first, and what to do about it. */
export function ErrorsCard({ errors }: { errors: readonly ErrorGroup[] }) {
  const minutes = Math.round((errors[0]?.seconds ?? 900) / 60)
  return (
    <Card title="Errors" aside={`the last ${minutes} minutes`}>
      {errors.length === 0 ? (
        <EmptyState title="No errors" />
      ) : (
        <ul className="grid gap-3">
          {errors.map((error) => (
            <ErrorItem key={`${error.source} ${error.class}`} error={error} />
          ))}
        </ul>
      )}
    </Card>
  )
}

function ErrorItem({ error: { source, class: kind, count, codes, title, advice } }: { error: ErrorGroup }) {
  const named = Object.entries(codes).filter(([code]) => code !== kind)
  return (
    <li className="grid grid-cols-[2.75rem_minmax(0,1fr)] gap-x-3">
      <p className="text-right text-lg/6 font-semibold">{formatCount(count)}</p>
      <div className="min-w-0">
        <p className="flex flex-wrap items-center gap-x-2">
          <span className="font-medium">{title}</span>
          <Badge>{SOURCES[source]}</Badge>
        </p>
        <p className="text-pretty text-soft">{advice}</p>
        {named.length > 0 && (
          <p className="text-xs text-soft">
            {named.map(([code, times]) => `code ${code}: ${formatCount(times)}`).join(', ')}
          </p>
        )}
      </div>
    </li>
  )
}
