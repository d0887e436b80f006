import { type ReactNode, useId, useMemo } from 'react'
import { queryString } from '../../api/http'
import type { Mark } from '../../api/series'
import { Chart } from '../../components/Chart'
import { Download } from '../../components/Download'
import { EmptyState } from '../../components/EmptyState'
import { Loading } from '../../components/Loading'
import {
  type ChartSection,
  type ChartSpec,
  chartKey,
  type Drawn,
  formatOf,
  isCounted,
  marksOf,
  unitInWords,
} from '../../lib/historyCharts'

interface ChartCardProps {
  spec: ChartSpec
  /** Nothing if the service did not send it. */
  drawn: Drawn | undefined
  marks: readonly Mark[]
  /** The id of the proxy shown; empty for all together. */
  target: string
  onZoom: (from: number, to: number) => void
}

/** One chart with its title, its unit and its numbers as a file. */
export function ChartCard({ spec, drawn, marks, target, onZoom }: ChartCardProps) {
  const heading = useId()
  const format = useMemo(() => formatOf(drawn?.chart.unit ?? ''), [drawn?.chart.unit])
  const named = useMemo(
    () => ({ title: spec.title, kind: drawn?.chart.kind ?? 'sum' }),
    [spec.title, drawn?.chart.kind],
  )
  const ownMarks = useMemo(() => marksOf(spec, marks), [spec, marks])
  const isEmpty = drawn === undefined || drawn.data.lines.length === 0
  return (
    <section
      aria-labelledby={heading}
      className="flex min-w-0 flex-col rounded-xl border border-line bg-card p-4 sm:px-5"
    >
      <div className="flex items-baseline justify-between gap-3">
        <h3 id={heading} className="font-semibold">
          {spec.title}
        </h3>
        {!isEmpty && <Download href={csvAddress(spec, drawn, target)} of={spec.title} />}
      </div>
      <p className="mb-2 min-h-4 text-xs text-soft">{isEmpty ? '' : unitInWords(drawn.chart, drawn.step)}</p>
      {isEmpty ? (
        <EmptyState title={spec.nothing} />
      ) : (
        <Chart
          chart={named}
          data={drawn.data}
          from={drawn.from}
          to={drawn.to}
          shape={spec.shape}
          format={format}
          reach={spec.reach}
          isWhole={isCounted(drawn.chart.unit)}
          marks={ownMarks}
          syncKey="history"
          onZoom={onZoom}
        />
      )}
    </section>
  )
}

/** The very points that are drawn, also if the page shows a time that goes on. */
function csvAddress({ name, by }: ChartSpec, { from, to, step }: Drawn, target: string): string {
  return `/api/series${queryString({ name, by, from, to, step, target, format: 'csv' })}`
}

interface ChartGridProps {
  section: ChartSection
  children: (spec: ChartSpec, key: string) => ReactNode
}

/** Charts of a kind beside each other; of an odd number the first is as wide as two. */
export function ChartGrid({ section: { title, charts }, children }: ChartGridProps) {
  const heading = useId()
  const columns =
    charts.length % 2 === 0 ? '2xl:grid-cols-4' : '2xl:grid-cols-3 lg:max-2xl:*:first:col-span-2'
  return (
    <section aria-labelledby={heading}>
      <h2 id={heading} className="mb-2 text-base font-semibold">
        {title}
      </h2>
      <div className={`grid gap-4 lg:grid-cols-2 ${columns}`}>
        {charts.map((spec) => children(spec, chartKey(spec)))}
      </div>
    </section>
  )
}

/** Holds the place of all charts while the first answer is on its way. */
export function ChartPlaceholders({ sections }: { sections: readonly ChartSection[] }) {
  return (
    <div className="grid gap-6">
      {sections.map((section) => (
        <ChartGrid key={section.title} section={section}>
          {(spec, key) => <Loading key={key} label={spec.title} className="h-72" />}
        </ChartGrid>
      ))}
    </div>
  )
}
