import { type KeyboardEvent, useCallback, useMemo, useRef, useState } from 'react'
import type uPlot from 'uplot'
import type { Mark, SeriesChart } from '../api/series'
import { usePlot } from '../hooks/usePlot'
import { useTheme } from '../hooks/useTheme'
import { type ChartData, groupedMarks, stacked, summary } from '../lib/chart'
import { moveCrosshair, plotOptions, type Shape } from '../lib/plotOptions'
import { readColours } from '../lib/themeColours'
import { ChartLegend } from './ChartLegend'

interface ChartProps {
  /** Title and kind as the service names them. */
  chart: Pick<SeriesChart, 'title' | 'kind'>
  data: ChartData
  /** The time shown, Unix seconds. */
  from: number
  to: number
  shape?: Shape
  format: (value: number) => string
  /** The axis: see `PlotSpec`. */
  reach?: number | undefined
  isWhole?: boolean
  marks?: readonly Mark[]
  syncKey?: string
  height?: number
  /** Called with the two ends of what was brushed. */
  onZoom?: (from: number, to: number) => void
}

const NO_MARKS: readonly Mark[] = []
const MARK_PIXELS = 6

/** Lines over time, with gaps where nothing is known. The arrow keys move the crosshair; all charts of a key share it. */
export function Chart(props: ChartProps) {
  const { chart, data, from, to, shape = 'line', format, marks = NO_MARKS, height = 180 } = props
  const place = useRef<HTMLDivElement>(null)
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set())
  const [cursor, setCursor] = useState<number | null>(null)
  const shown = useMemo(() => {
    const lines = data.lines.filter(({ label }) => !hidden.has(label))
    // What is drawn last lies on top: the first line, which is the one to look at.
    return shape === 'line' ? lines.reverse() : lines
  }, [data, hidden, shape])
  const groups = useMemo(
    () => groupedMarks(marks, from, to, ((to - from) / 600) * MARK_PIXELS),
    [marks, from, to],
  )
  const options = usePlotOptions({ ...props, shape }, shown, groups, setCursor)
  const plotted = useMemo(() => {
    const values = shape === 'stacked' ? stacked(shown) : shown.map((line) => line.values)
    return [data.times, ...values] as uPlot.AlignedData
  }, [data, shown, shape])
  const plot = usePlot(place, options, plotted, height)

  function move(event: KeyboardEvent) {
    if (event.key === 'Escape') leave()
    const step = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0
    if (step === 0 || plot.current === null) return
    event.preventDefault()
    const next = Math.min(data.times.length - 1, Math.max(0, (cursor ?? data.times.length) + step))
    moveCrosshair(plot.current, data.times[next] ?? null)
  }

  function leave() {
    if (plot.current !== null) moveCrosshair(plot.current, null)
  }

  const toggle = useCallback((label: string) => {
    setHidden((known) => {
      const next = new Set(known)
      if (!next.delete(label)) next.add(label)
      return next
    })
  }, [])

  return (
    <figure>
      <div
        ref={place}
        role="img"
        aria-label={summary(chart, data.lines, format)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the crosshair
        tabIndex={0}
        onKeyDown={move}
        onBlur={leave}
        className="overflow-hidden"
        style={{ height }}
      />
      <ChartLegend
        kind={chart.kind}
        data={data}
        cursor={cursor}
        hidden={hidden}
        onToggle={toggle}
        format={format}
        marks={groups}
      />
    </figure>
  )
}

/** Stays the same object while only numbers change, so that the plot is not built anew. */
function usePlotOptions(
  { chart, shape = 'line', format, reach, isWhole, syncKey = 'page', from, to, onZoom }: ChartProps,
  lines: ChartData['lines'],
  marks: readonly Mark[][],
  onCursor: (index: number | null) => void,
) {
  const [theme] = useTheme()
  const latest = useRef({ from, to, marks, format, onZoom })
  latest.current = { from, to, marks, format, onZoom }
  const canZoom = onZoom !== undefined
  const drawn = JSON.stringify(lines.map(({ label, colour }) => ({ label, colour })))

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are those of the theme
  return useMemo(
    () =>
      plotOptions({
        lines: JSON.parse(drawn) as { label: string; colour: string }[],
        shape,
        isStepped: chart.kind === 'sum',
        colourOf: readColours([]),
        format: (value) => latest.current.format(value),
        reach,
        isWhole,
        syncKey,
        window: () => latest.current,
        marks: () => latest.current.marks,
        onCursor,
        onZoom: canZoom ? (start, end) => latest.current.onZoom?.(start, end) : undefined,
      }),
    [drawn, shape, chart.kind, reach, isWhole, syncKey, canZoom, onCursor, theme],
  )
}
