import { useMemo } from 'react'
import type { Breakdown } from '../../api/breakdown'
import { Card } from '../../components/Card'
import { Download } from '../../components/Download'
import { EmptyState } from '../../components/EmptyState'
import { ErrorState } from '../../components/ErrorState'
import { Loading } from '../../components/Loading'
import { RangePicker } from '../../components/RangePicker'
import { RangeSteps } from '../../components/RangeSteps'
import { TargetPicker } from '../../components/TargetPicker'
import { useBreakdown } from '../../hooks/useApi'
import { useLocation } from '../../hooks/useLocation'
import { useTimeRange } from '../../hooks/useTimeRange'
import { refreshSeconds, type TimeRange } from '../../lib/timeRange'
import { windowSentence } from '../../lib/usage'
import {
  breakdownQuery,
  isTime,
  parseUsageQuery,
  SPLITS,
  USAGE_RANGE,
  type UsageQuery,
  usageCsv,
} from '../../lib/usageQuery'
import { SplitPicker, UsageFilters } from './SplitPicker'
import { Totals } from './Totals'
import { UsageTable } from './UsageTable'
import { WasteCard } from './WasteCard'

/** Who used what of the plan, and what of it was for nothing. */
export function UsagePage() {
  const [range, setRange] = useTimeRange(USAGE_RANGE)
  const { search } = useLocation()
  const query = useMemo(() => parseUsageQuery(search), [search])
  const { data, error, isPlaceholderData, refetch } = useBreakdown(breakdownQuery(query, range), {
    every: refreshSeconds(range),
  })
  return (
    <>
      <h1 className="sr-only">Usage</h1>
      <div className="mb-3 flex flex-wrap items-center gap-x-4 gap-y-2">
        <RangePicker range={range} onChange={setRange} />
        <RangeSteps range={range} onChange={setRange} />
        <TargetPicker />
      </div>
      <div className="mb-4 flex flex-wrap items-center gap-x-4 gap-y-2">
        <SplitPicker by={query.by} />
        <UsageFilters query={query} />
      </div>
      {error !== null && (
        <div className="mb-4">
          <ErrorState
            title={data === undefined ? 'The usage could not be loaded' : 'The usage is not up to date'}
            error={error}
            onRetry={() => void refetch()}
          />
        </div>
      )}
      {data !== undefined && (
        <div aria-busy={isPlaceholderData} className={isPlaceholderData ? 'opacity-60' : ''}>
          <Answer data={data} query={{ ...query, by: data.by }} range={range} />
        </div>
      )}
      {data === undefined && error === null && <Loading label="Usage" className="h-96" />}
    </>
  )
}

interface AnswerProps {
  data: Breakdown
  query: UsageQuery
  range: TimeRange
}

function Answer({ data, query, range }: AnswerProps) {
  if (data.rows.length === 0) {
    return (
      <EmptyState title="No request ended in this time">
        {query.filters.length > 0
          ? 'None that matches: take filters away, or choose another time.'
          : 'If there were some: a proxy on another machine tells of them only if the dashboard has its ADMIN_TOKEN.'}
      </EmptyState>
    )
  }
  const name = SPLITS.find(({ by }) => by === data.by)?.name.toLowerCase() ?? data.by
  const notes = [
    windowSentence(data, Date.now() / 1000),
    isTime(data.by) && data.by === 'day' ? 'Days are those of UTC.' : null,
  ]
  return (
    <div className="grid gap-4">
      <Totals total={data.total} />
      <WasteCard data={data} query={query} range={range} />
      <Card title={`By ${name}`} aside={<Download href={usageCsv(query, range)} of={`Usage by ${name}`} />}>
        <UsageTable data={data} query={query} range={range} />
        <p className="mt-3 text-xs text-soft empty:hidden">
          {notes.filter((note) => note !== null).join(' ')}
        </p>
      </Card>
    </div>
  )
}
