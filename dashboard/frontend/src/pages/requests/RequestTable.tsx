import type { FinishedRequest, Outcome } from '../../api/requests'
import { Badge } from '../../components/Badge'
import { type Column, DataTable } from '../../components/DataTable'
import { RequestSubject } from '../../components/RequestSubject'
import { useNames } from '../../hooks/useLive'
import { setSearch } from '../../hooks/useLocation'
import { formatCompact, formatMoney, plural, UNKNOWN } from '../../lib/numbers'
import type { Tone } from '../../lib/quota'
import type { TableQuery } from '../../lib/requestQuery'
import { areTokensKnown, OUTCOME_WORDS, requestTrouble } from '../../lib/requestTrouble'
import { laneName, requestName, senderName } from '../../lib/requestWords'
import { formatClock, formatDuration, formatMoment, formatWhen } from '../../lib/times'
import { totalTokens } from '../../lib/tokens'
import { ask } from './FilterBar'
import { RequestDetail } from './RequestDetail'

export const TONES: Record<Outcome, Tone> = {
  ok: 'ok',
  failed: 'critical',
  aborted: 'neutral',
  refused: 'warning',
}

const NUMBER = 'whitespace-nowrap'

const COLUMNS: readonly Column<FinishedRequest>[] = [
  {
    key: 'ended',
    head: 'Ended',
    cell: ({ ended }) => <Ended at={ended} />,
    className: 'whitespace-nowrap max-sm:hidden',
    isSortable: true,
  },
  {
    key: 'outcome',
    head: 'Outcome',
    cell: (row) => <OutcomeCell request={row} />,
    className: 'whitespace-nowrap max-sm:hidden',
  },
  {
    key: 'request',
    head: 'Request',
    cell: (row) => <Request request={row} />,
    className: 'w-full max-w-0',
  },
  {
    key: 'lane',
    head: 'Lane',
    cell: ({ lane }) => <span className="text-soft">{lane === null ? UNKNOWN : laneName(lane)}</span>,
    className: 'whitespace-nowrap max-lg:hidden',
  },
  {
    key: 'waited',
    head: 'Queued',
    align: 'end',
    cell: ({ waited }) => formatDuration(waited),
    className: `${NUMBER} max-lg:hidden`,
    isSortable: true,
  },
  {
    key: 'first_byte',
    head: 'First byte',
    align: 'end',
    cell: ({ first_byte }) => formatDuration(first_byte),
    className: `${NUMBER} max-md:hidden`,
    isSortable: true,
  },
  {
    key: 'duration',
    head: 'Duration',
    align: 'end',
    cell: ({ duration }) => formatDuration(duration),
    className: NUMBER,
    isSortable: true,
  },
  {
    key: 'tokens',
    head: 'Tokens',
    align: 'end',
    cell: (row) => <Tokens request={row} />,
    className: NUMBER,
    isSortable: true,
  },
  {
    key: 'cost_usd',
    head: 'List price',
    align: 'end',
    cell: ({ cost_usd }) => formatMoney(cost_usd),
    className: `${NUMBER} max-md:hidden`,
    isSortable: true,
  },
]

interface RequestTableProps {
  query: TableQuery
  rows: readonly FinishedRequest[]
}

/** Finished requests; one of them opens into all that is known of it. */
export function RequestTable({ query: { sort, order, open }, rows }: RequestTableProps) {
  const names = useNames()
  return (
    <DataTable
      caption="Finished requests"
      columns={COLUMNS}
      rows={rows}
      rowKey={({ id }) => String(id)}
      sorting={{
        key: sort,
        order,
        onSort: (key) =>
          ask({ sort: key === 'ended' ? null : key, order: key === sort && order === 'desc' ? 'asc' : null }),
      }}
      opening={{
        openKey: open === null ? null : String(open),
        onToggle: (key) => setSearch({ open: key === String(open) ? null : key }, { replace: true }),
        detail: (row) => <RequestDetail request={row} />,
        label: (row) => `Details of ${requestName(row, names)}, ${formatClock(row.ended, true)}`,
      }}
    />
  )
}

function Ended({ at }: { at: number }) {
  const now = Date.now() / 1000
  const isToday = new Date(at * 1000).toDateString() === new Date(now * 1000).toDateString()
  return <span title={formatMoment(at)}>{isToday ? formatClock(at, true) : formatWhen(at, now)}</span>
}

function OutcomeCell({ request }: { request: FinishedRequest }) {
  const { outcome, status, attempts } = request
  return (
    <span title={requestTrouble(request)?.title}>
      <Badge tone={TONES[outcome]}>
        {status === null ? '' : `${status} `}
        {OUTCOME_WORDS[outcome]}
      </Badge>
      {attempts !== null && attempts > 1 && (
        <span className="block text-xs text-soft">{plural(attempts, 'attempt')}</span>
      )}
    </span>
  )
}

/** On a phone the columns that have no room there stand below. */
function Request({ request }: { request: FinishedRequest }) {
  const { program, agent, ended } = request
  const names = useNames()
  return (
    <>
      <span className="block truncate">
        <RequestSubject request={request} />
      </span>
      <span className="block truncate text-xs text-soft">
        {program !== null && `${program} · `}
        {senderName(request, names)}
        {agent !== null && ` · agent ${agent}`}
      </span>
      <span className="mt-0.5 flex items-center gap-2 text-xs text-soft sm:hidden">
        <OutcomeCell request={request} />
        <Ended at={ended} />
      </span>
    </>
  )
}

function Tokens({ request }: { request: FinishedRequest }) {
  if (!areTokensKnown(request)) return <span className="text-soft">{UNKNOWN}</span>
  const total = formatCompact(totalTokens(request.tokens))
  if (request.tokens_are !== 'estimated') return total
  return (
    <>
      <span aria-hidden="true">~</span>
      <span className="sr-only">estimated </span>
      {total}
    </>
  )
}
