import { useCallback, useMemo } from 'react'
import type { Series } from '../../api/series'
import { EmptyState } from '../../components/EmptyState'
import { ErrorState } from '../../components/ErrorState'
import { RangePicker } from '../../components/RangePicker'
import { RangeSteps } from '../../components/RangeSteps'
import { TargetPicker } from '../../components/TargetPicker'
import { useOpeningRange, useSeriesSet } from '../../hooks/useApi'
import { useLocation } from '../../hooks/useLocation'
import { useTimeRange } from '../../hooks/useTimeRange'
import { ALL_CHARTS, allMarks, drawnCharts, questions, SECTIONS, wasWatched } from '../../lib/historyCharts'
import { DEFAULT_RANGE, rangeQuery, refreshSeconds, type TimeRange, zoomedRange } from '../../lib/timeRange'
import { ChartCard, ChartGrid, ChartPlaceholders } from './ChartCard'
import { MarkList } from './MarkList'

const QUESTIONS = questions(ALL_CHARTS)

/** What went on in a time: all charts share its axis, the crosshair and the marks. */
export function HistoryPage() {
  const opening = useOpeningRange()
  const isNamed = useLocation().search.has('from')
  if (opening !== null || isNamed) return <History opening={opening ?? DEFAULT_RANGE} />
  return (
    <>
      <h1 className="sr-only">History</h1>
      <ChartPlaceholders sections={SECTIONS} />
    </>
  )
}

/** `opening` is shown where the address names no time. */
function History({ opening }: { opening: TimeRange }) {
  const [range, setRange] = useTimeRange(opening)
  const target = useLocation().search.get('target') ?? ''
  const { data, error, isPlaceholderData, refetch } = useHistory(range, target)
  const zoom = useCallback(
    (from: number, to: number) => setRange(zoomedRange(from, to, Date.now() / 1000)),
    [setRange],
  )
  return (
    <>
      <h1 className="sr-only">History</h1>
      <div className="z-10 -mx-4 -mt-5 mb-3 flex flex-wrap items-center gap-x-4 gap-y-2 bg-page px-4 py-3 sm:sticky sm:top-0 sm:-mx-6 sm:px-6">
        <RangePicker range={range} onChange={setRange} />
        <RangeSteps range={range} onChange={setRange} />
        <TargetPicker />
      </div>
      {error !== null && (
        <div className="mb-4">
          <ErrorState
            title={data === undefined ? 'The charts could not be loaded' : 'The charts are not up to date'}
            error={error}
            onRetry={() => void refetch()}
          />
        </div>
      )}
      {data !== undefined && (
        <div aria-busy={isPlaceholderData} className={isPlaceholderData ? 'opacity-60' : ''}>
          <Charts answers={data} target={target} onZoom={zoom} onRange={setRange} />
        </div>
      )}
      {data === undefined && error === null && <ChartPlaceholders sections={SECTIONS} />}
    </>
  )
}

function useHistory(range: TimeRange, target: string) {
  const asked = useMemo(
    () => QUESTIONS.map((each) => ({ ...each, ...rangeQuery(range), target })),
    [range, target],
  )
  return useSeriesSet(asked, { every: refreshSeconds(range) })
}

interface ChartsProps {
  answers: readonly Series[]
  target: string
  onZoom: (from: number, to: number) => void
  onRange: (range: TimeRange) => void
}

function Charts({ answers, target, onZoom, onRange }: ChartsProps) {
  const drawn = useMemo(() => drawnCharts(QUESTIONS, answers), [answers])
  const marks = useMemo(() => allMarks(answers), [answers])
  if (!wasWatched(answers)) {
    return (
      <EmptyState title="Nothing is known of this time">
        The dashboard did not run, or no proxy answered it. Choose another time.
      </EmptyState>
    )
  }
  return (
    <div className="grid gap-6">
      <MarkList marks={marks} onRange={onRange} />
      {SECTIONS.map((section) => (
        <ChartGrid key={section.title} section={section}>
          {(spec, key) => (
            <ChartCard
              key={key}
              spec={spec}
              drawn={drawn.get(key)}
              marks={marks}
              target={target}
              onZoom={onZoom}
            />
          )}
        </ChartGrid>
      ))}
    </div>
  )
}
