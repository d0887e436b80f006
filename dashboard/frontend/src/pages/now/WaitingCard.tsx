import { useState } from 'react'
import type { Lane, Now, WaitingRequest } from '../../api/now'
import { Badge } from '../../components/Badge'
import { Button } from '../../components/Button'
import { Card } from '../../components/Card'
import { type Column, DataTable } from '../../components/DataTable'
import { EmptyState } from '../../components/EmptyState'
import { formatCount } from '../../lib/numbers'
import { laneName } from '../../lib/requestWords'
import { formatAge } from '../../lib/times'
import { EndButton } from './EndButton'
import { RequestCell } from './RequestCell'

const FEW = 5

const COLUMNS: readonly Column<WaitingRequest>[] = [
  {
    key: 'request',
    head: 'Request',
    cell: (row) => <RequestCell request={row} />,
    className: 'w-full max-w-0',
  },
  {
    key: 'lane',
    head: 'Lane',
    cell: ({ lane }) => <Badge>{laneName(lane)}</Badge>,
    className: 'max-md:hidden',
  },
  {
    key: 'waited',
    head: 'Waits for',
    align: 'end',
    cell: ({ waited }) => formatAge(waited),
    className: 'whitespace-nowrap',
  },
]

const ENDING: Column<WaitingRequest> = {
  key: 'end',
  head: <span className="sr-only">End</span>,
  align: 'end',
  cell: (row) => <EndButton request={row} />,
}

/** What waits for its turn and for how long: by lane, then one by one, the longest first. */
export function WaitingCard({ now }: { now: Now }) {
  const [showsAll, setShowsAll] = useState(false)
  const { waiting, waiting_total: total } = now
  const lanes = now.lanes.filter((lane) => lane.waiting > 0)
  return (
    <Card title="Waiting" aside={total > 0 ? formatCount(total) : undefined}>
      {total === 0 ? (
        <EmptyState title="Nothing waits">Every request is sent as soon as it comes.</EmptyState>
      ) : (
        <>
          <LaneList lanes={lanes} />
          {waiting.length === 0 ? (
            <p className="text-soft">The proxy counts them, but does not list them.</p>
          ) : (
            <DataTable
              caption="Waiting requests, the longest first"
              columns={now.can_cancel ? [...COLUMNS, ENDING] : COLUMNS}
              rows={showsAll ? waiting : waiting.slice(0, FEW)}
              rowKey={({ id }) => id}
            />
          )}
          {waiting.length > FEW && (
            <Button
              size="small"
              className="mt-2"
              aria-expanded={showsAll}
              onClick={() => setShowsAll(!showsAll)}
            >
              {showsAll ? `Show the longest ${FEW}` : `Show all ${formatCount(waiting.length)}`}
            </Button>
          )}
        </>
      )}
    </Card>
  )
}

function LaneList({ lanes }: { lanes: readonly Lane[] }) {
  return (
    <ul className="mb-2 flex flex-wrap gap-x-5 gap-y-1">
      {lanes.map(({ lane, waiting, longest_wait }) => (
        <li key={lane}>
          <span className="font-medium">{laneName(lane)}</span>{' '}
          <span className="text-soft">
            {formatCount(waiting)} waiting, longest {formatAge(longest_wait)}
          </span>
        </li>
      ))}
    </ul>
  )
}
