import { useState } from 'react'
import type { Now, RunningRequest } from '../../api/now'
import { Badge } from '../../components/Badge'
import { Button } from '../../components/Button'
import { Card } from '../../components/Card'
import { type Column, DataTable } from '../../components/DataTable'
import { EmptyState } from '../../components/EmptyState'
import { formatCount, formatEstimate } from '../../lib/numbers'
import { laneName, silence } from '../../lib/requestWords'
import { formatAge } from '../../lib/times'
import { EndButton } from './EndButton'
import { RequestCell } from './RequestCell'

const FEW = 10

const COLUMNS: readonly Column<RunningRequest>[] = [
  {
    key: 'request',
    head: 'Request',
    cell: (row) => <RequestCell request={row} more={<Progress request={row} />} />,
    className: 'w-full max-w-0',
  },
  {
    key: 'lane',
    head: 'Lane',
    cell: ({ lane }) => <Badge>{laneName(lane)}</Badge>,
    className: 'max-md:hidden',
  },
  {
    key: 'age',
    head: 'Age',
    align: 'end',
    cell: (row) => <Age request={row} />,
    className: 'whitespace-nowrap',
  },
  {
    key: 'tokens',
    head: 'Tokens so far',
    align: 'end',
    cell: (row) => <Tokens request={row} />,
    className: 'whitespace-nowrap max-sm:hidden',
  },
]

const ENDING: Column<RunningRequest> = {
  key: 'end',
  head: <span className="sr-only">End</span>,
  align: 'end',
  cell: (row) => <EndButton request={row} />,
}

/** What runs, the oldest first. */
export function RunningCard({ now }: { now: Now }) {
  const [showsAll, setShowsAll] = useState(false)
  const { running, running_total: total } = now
  const rows = showsAll ? running : running.slice(0, FEW)
  return (
    <Card title="Running" aside={total > 0 ? formatCount(total) : undefined}>
      {total === 0 ? (
        <EmptyState title="Nothing runs">
          Requests appear here while their answers are being written.
        </EmptyState>
      ) : (
        <DataTable
          caption="Running requests, the oldest first"
          columns={now.can_cancel ? [...COLUMNS, ENDING] : COLUMNS}
          rows={rows}
          rowKey={({ id }) => id}
        />
      )}
      <div className="mt-2 flex flex-wrap items-center justify-between gap-2 text-xs text-soft empty:hidden">
        {running.length > FEW && (
          <Button size="small" aria-expanded={showsAll} onClick={() => setShowsAll(!showsAll)}>
            {showsAll ? `Show the oldest ${FEW}` : `Show all ${formatCount(running.length)}`}
          </Button>
        )}
        {total > running.length && showsAll && (
          <span>The oldest {formatCount(running.length)} are listed.</span>
        )}
        {!now.can_cancel && now.cancel_hint !== null && total > 0 && <span>{now.cancel_hint}</span>}
      </div>
    </Card>
  )
}

/** Nothing is guessed before the first byte. */
function Tokens({ request: { response_bytes, tokens_estimated } }: { request: RunningRequest }) {
  return response_bytes === 0 ? <span className="text-soft">none yet</span> : formatEstimate(tokens_estimated)
}

function Age({ request: { age, silent } }: { request: RunningRequest }) {
  return (
    <>
      <span>{formatAge(age)}</span>
      <Silent seconds={silent} className="block text-xs max-sm:hidden" />
    </>
  )
}

/** In one line, for where there is no room for columns. */
function Progress({ request }: { request: RunningRequest }) {
  return (
    <>
      <Tokens request={request} /> tokens <Silent seconds={request.silent} className="whitespace-nowrap" />
    </>
  )
}

function Silent({ seconds, className }: { seconds: number | null; className: string }) {
  const kind = silence(seconds)
  if (kind === 'none') return null
  const look = kind === 'long' ? 'font-medium text-warning' : 'text-soft'
  return <span className={`${look} ${className}`}>silent for {formatAge(seconds)}</span>
}
