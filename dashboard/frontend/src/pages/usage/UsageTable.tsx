import type { ReactNode } from 'react'
import type { Breakdown, BreakdownRow } from '../../api/breakdown'
import { type Column, cellName, DataTable } from '../../components/DataTable'
import { Link } from '../../components/Link'
import { NameButton } from '../../components/NameButton'
import { useNames } from '../../hooks/useLive'
import { setSearch, useLocation } from '../../hooks/useLocation'
import type { NameBook } from '../../lib/names'
import { formatCompact, formatCount, formatMoney, formatShare } from '../../lib/numbers'
import type { TimeRange } from '../../lib/timeRange'
import { formatDuration } from '../../lib/times'
import { keyInWords, parseSort, share, shareOf, sortedRows, type UsageSort } from '../../lib/usage'
import { deeperAddress, isTime, requestsAddress, SPLITS, type UsageQuery } from '../../lib/usageQuery'

interface UsageTableProps {
  data: Breakdown
  query: UsageQuery
  range: TimeRange
}

type UsageColumn = Column<BreakdownRow> & { key: UsageSort | 'share' }

/** A row each, what is beyond them together, and the sum of all. */
export function UsageTable({ data, query, range }: UsageTableProps) {
  const { search } = useLocation()
  const { sort, order } = parseSort(search, isTime(data.by) ? 'key' : 'cost')
  const columns = usageColumns(data, query, range, useNames())
  function sortBy(key: string) {
    setSearch({ sort: key, order: key === sort && order === 'desc' ? 'asc' : 'desc' }, { replace: true })
  }
  const name = SPLITS.find(({ by }) => by === data.by)?.name.toLowerCase() ?? data.by
  return (
    <DataTable
      caption={`Usage by ${name}`}
      columns={columns}
      rows={sortedRows(data.rows, sort, order)}
      rowKey={({ key }) => String(key)}
      folding="@max-6xl:folded"
      sorting={{ key: sort, order, onSort: sortBy }}
      footer={
        <>
          {data.other !== null && (
            <SumRow name={isTime(data.by) ? 'Before' : 'All others'} row={data.other} columns={columns} />
          )}
          <SumRow name="Total" row={data.total} columns={columns} />
        </>
      }
    />
  )
}

function SumRow({
  name,
  row,
  columns,
}: {
  name: string
  row: BreakdownRow
  columns: readonly UsageColumn[]
}) {
  return (
    <tr className="align-top">
      {columns.map((column) =>
        column.key === 'key' ? (
          <th
            key={column.key}
            scope="row"
            className={`px-2 py-1.5 text-left font-medium ${column.className ?? ''}`}
          >
            {name}
          </th>
        ) : (
          <td
            key={column.key}
            data-name={cellName(column)}
            className={`px-2 py-1.5 text-right ${column.className ?? ''}`}
          >
            {column.cell(row)}
          </td>
        ),
      )}
    </tr>
  )
}

function usageColumns(data: Breakdown, query: UsageQuery, range: TimeRange, names: NameBook): UsageColumn[] {
  const { total, by } = data
  const now = Date.now() / 1000
  const longest = Math.max(0, ...data.rows.map((row) => share(row, total).all))
  const tokens = (value: number | null) => quiet(value, formatCompact)
  const columns: UsageColumn[] = [
    {
      key: 'key',
      head: SPLITS.find((split) => split.by === by)?.name,
      cell: ({ key, programs }) => (
        <Key name={keyInWords(by, key, now, names)} {...{ programs, query, range, value: key }} />
      ),
      className: 'sticky left-0 z-1 bg-card @max-6xl:basis-full',
      isPlain: true,
    },
    {
      key: 'share',
      head: `Share of the ${shareOf(total)}`,
      cell: (row) => <ShareBar row={row} total={total} longest={longest} />,
      align: 'end',
      className: '@max-6xl:basis-full',
    },
    number('cost', 'Cost', (row) => quiet(row.cost_usd, formatMoney)),
    number('wasted', 'Wasted', (row) => quiet(row.wasted.cost_usd, formatMoney)),
    number('credits', 'Credits', (row) => quiet(row.credits, formatCompact)),
    number('requests', 'Requests', (row) => formatCount(row.requests)),
    number('ok', 'OK', (row) => quiet(row.ok, formatCount)),
    number('failed', 'Failed', (row) => quiet(row.failed, formatCount)),
    number('aborted', 'Aborted', (row) => quiet(row.aborted, formatCount)),
    number('refused', 'Refused', (row) => quiet(row.refused, formatCount)),
    number('retries', 'Retries', (row) => quiet(row.retries, formatCount)),
    number('input', 'Input', (row) => tokens(row.tokens.input)),
    number('cached', 'Cached', (row) => tokens(row.tokens.cache_read)),
    number('written', 'Cache write', (row) => tokens(row.tokens.cache_write)),
    number('output', 'Output', (row) => tokens(row.tokens.output)),
    number('duration', 'Mean time', (row) => formatDuration(row.mean_duration)),
  ]
  return columns.filter(({ key }) => key !== 'written' || total.tokens.cache_write > 0)
}

function number(key: UsageSort, head: string, cell: (row: BreakdownRow) => ReactNode): UsageColumn {
  return { key, head, cell, align: 'end', isSortable: true }
}

/** Zeros stand back, so that the eye finds what is not zero. */
function quiet(value: number | null, format: (value: number | null) => string): ReactNode {
  return value === 0 ? <span className="text-soft">{format(0)}</span> : format(value)
}

interface KeyProps {
  name: string
  programs: readonly string[]
  value: BreakdownRow['key']
  query: UsageQuery
  range: TimeRange
}

/** What the row is of and which programs it asks with, with the ways to its requests and to its parts. */
function Key({ name, programs, value, query, range }: KeyProps) {
  const requests = requestsAddress(query, range, value)
  const deeper = deeperAddress(query, range, value)
  if (requests === null) return <span className="text-soft">{name}</span>
  return (
    <div className="w-44 @max-6xl:w-full 2xl:w-52">
      <div className="flex items-baseline justify-between gap-2 @max-6xl:justify-start">
        <Link
          href={deeper?.href ?? requests}
          title={name === String(value) ? name : `${name} (${value})`}
          className="truncate font-medium underline-offset-2 hover:underline"
        >
          {name}
        </Link>
        <span className="flex items-baseline gap-1">
          <Link
            href={requests}
            aria-label={`Requests of ${name}`}
            className="text-xs text-soft underline decoration-line-strong underline-offset-2 hover:text-text"
          >
            requests
          </Link>
          {(query.by === 'client' || query.by === 'session') && (
            <NameButton {...{ [query.by]: String(value) }} />
          )}
        </span>
      </div>
      {programs.length > 0 && (
        <span className="block truncate text-xs text-soft" title={programs.join(', ')}>
          {programs.join(', ')}
        </span>
      )}
    </div>
  )
}

interface ShareBarProps {
  row: BreakdownRow
  total: BreakdownRow
  /** The largest share of all rows: its bar is full, so that many small ones can be told apart. */
  longest: number
}

/** The share as a bar; the part that was for nothing is at its end, in the colour of trouble. */
function ShareBar({ row, total, longest }: ShareBarProps) {
  const { all, wasted } = share(row, total)
  const width = (part: number) => `${(part / Math.max(all, longest, 0.01)) * 100}%`
  return (
    <div className="inline-flex items-center justify-end gap-2">
      <div aria-hidden="true" className="flex h-2 w-16 overflow-hidden rounded-full bg-sunken 2xl:w-40">
        <div className="bg-accent" style={{ width: width(all - wasted) }} />
        <div className="bg-critical" style={{ width: width(wasted) }} />
      </div>
      <span className="w-11 whitespace-nowrap">{formatShare(all)}</span>
    </div>
  )
}
