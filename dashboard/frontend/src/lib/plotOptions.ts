/** How uPlot has to draw a chart. Everything that it needs of the page is handed in. */

import uPlot from 'uplot'
import type { Mark } from '../api/series'
import type { ChartLine } from './chart'
import { formatClock, formatDate } from './times'

export type PlotOptions = Omit<uPlot.Options, 'width' | 'height'>
export type ColourOf = (name: string) => string

/** `line`: beside each other. `stacked`: on top of each other, as parts of a whole. */
export type Shape = 'line' | 'stacked'

export interface PlotSpec {
  lines: readonly Pick<ChartLine, 'label' | 'colour'>[]
  shape: Shape
  /** For what was counted within each step; else the points are joined. */
  isStepped: boolean
  colourOf: ColourOf
  format: (value: number) => string
  /** The least that the axis reaches, as 1 for shares; else it ends at the largest value. */
  reach?: number | undefined
  /** For things of which there is no half: the axis has no fractions. */
  isWhole?: boolean | undefined
  /** Charts with the same key share the crosshair. */
  syncKey: string
  /** Read whenever something is drawn: the time shown, and the marks in it. */
  window: () => { from: number; to: number }
  marks: () => readonly Mark[][]
  /** The step under the crosshair; null without one. */
  onCursor: (index: number | null) => void
  /** A part of the time was brushed. Without it nothing can be. */
  onZoom?: ((from: number, to: number) => void) | undefined
}

const FONT = '11px system-ui, sans-serif'
const DAY = 86_400
const WHOLE = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((first) => first * 10 ** power)).flat()

/** Pixels between two times at an axis, as uPlot has it. */
const PLAIN = 50

export function plotOptions(spec: PlotSpec): PlotOptions {
  const { colourOf } = spec
  const axis = {
    stroke: colourOf('--soft'),
    font: FONT,
    grid: { stroke: colourOf('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    legend: { show: false },
    padding: [8, 20, 0, 0],
    scales: {
      x: { time: true, range: () => [spec.window().from, spec.window().to] },
      y: { range: (_plot, _min, max) => [0, highest(max, spec)] },
    },
    axes: [
      {
        ...axis,
        values: (_plot, splits, _axis, _space, step) => splits.map((at) => timeLabel(at, step)),
        // A time with seconds needs more room.
        space: (_plot, _axis, from, to, width) => ((to - from) * PLAIN <= 30 * width ? 76 : PLAIN),
        size: 26,
      },
      {
        ...axis,
        values: (_plot, splits) => splits.map(spec.format),
        size: 58,
        gap: 6,
        ...(spec.isWhole ? { incrs: WHOLE } : {}),
      },
    ],
    series: [{}, ...spec.lines.map((line) => lineOptions(spec, colourOf(line.colour)))],
    bands:
      spec.shape === 'stacked'
        ? spec.lines.slice(1).map((_, index) => ({ series: [index + 2, index + 1] }))
        : [],
    cursor: {
      y: false,
      points: { size: 6 },
      drag: { x: spec.onZoom !== undefined, y: false, setScale: false },
      sync: { key: spec.syncKey, filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
    },
    hooks: {
      setCursor: [(plot) => spec.onCursor(plot.cursor.idx ?? null)],
      setSelect: [(plot) => brush(plot, spec.onZoom)],
      drawAxes: [(plot) => drawMarks(plot, spec.marks(), colourOf)],
    },
  }
}

function highest(max: number, { reach = 0, isWhole }: PlotSpec): number {
  if (max <= reach) return reach
  if (max <= 0) return 1
  return isWhole && max < 1 ? 1 : max * 1.06
}

/** Puts the crosshair of this chart, and of those that share it, at a time; null takes it away. */
export function moveCrosshair(plot: uPlot, at: number | null): void {
  const left = at === null ? -10 : plot.valToPos(at, 'x')
  // Only with its third argument, which the types lack, do the others follow.
  const move: (place: { left: number; top: number }, fire: boolean, publish: boolean) => void = plot.setCursor
  move({ left, top: 0 }, true, true)
}

/** A course without axes, a crosshair or a scale. */
export function sparklineOptions(colourOf: ColourOf): PlotOptions {
  const colour = colourOf('--chart-1')
  return {
    legend: { show: false },
    cursor: { show: false },
    padding: [3, 0, 1, 0],
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max : 1] } },
    axes: [{ show: false }, { show: false }],
    series: [{}, { stroke: colour, width: 1.5, fill: faded(colour, 0.14), points: { show: false } }],
  }
}

function lineOptions({ shape, isStepped }: PlotSpec, colour: string): uPlot.Series {
  const stepped = isStepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined
  return {
    stroke: colour,
    // An edge around parts of a whole would show those that are nothing.
    width: shape === 'stacked' ? 0 : 1.5,
    points: { show: false },
    ...(shape === 'stacked' ? { fill: faded(colour, 0.75) } : {}),
    ...(stepped ? { paths: stepped } : {}),
  }
}

function timeLabel(at: number, step: number): string {
  if (step >= DAY) return formatDate(at)
  const when = new Date(at * 1000)
  const isMidnight = when.getHours() === 0 && when.getMinutes() === 0 && when.getSeconds() === 0
  return isMidnight ? formatDate(at) : formatClock(at, step < 60)
}

function brush(plot: uPlot, onZoom: PlotSpec['onZoom']) {
  const { left, width } = plot.select
  if (width < 4) return
  onZoom?.(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'))
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
}

function drawMarks(plot: uPlot, marks: readonly Mark[][], colourOf: ColourOf) {
  const { ctx, bbox } = plot
  const thickness = window.devicePixelRatio
  ctx.save()
  ctx.lineWidth = thickness
  ctx.setLineDash([3 * thickness, 3 * thickness])
  for (const [first] of marks) {
    if (first === undefined) continue
    const x = plot.valToPos(first.at, 'x', true)
    ctx.strokeStyle = colourOf(markColour(first.kind))
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
  }
  ctx.restore()
}

export function markColour(kind: Mark['kind']): string {
  return kind === 'lost' || kind === 'gate_closed' ? '--critical' : '--line-strong'
}

/** A hexadecimal colour, let through. */
function faded(colour: string, opacity: number): string {
  const part = Math.round(opacity * 255)
    .toString(16)
    .padStart(2, '0')
  return /^#[\da-f]{6}$/i.test(colour) ? colour + part : colour
}
