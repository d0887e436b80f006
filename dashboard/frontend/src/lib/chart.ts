/** From what the service answers to what a chart draws. Pure. */

import type { Mark, Series, SeriesChart } from '../api/series'

export type Values = readonly (number | null)[]

/** One line of a chart. `colour` is the name of a CSS variable. */
export interface ChartLine {
  label: string
  values: Values
  total: number | null
  colour: string
}

export interface ChartData {
  /** The start of each step, Unix seconds. */
  times: readonly number[]
  lines: readonly ChartLine[]
}

const COLOURS = 8
const NAMED: Record<string, string> = {
  other: '--chart-other',
  busy: '--chart-1',
  limit: '--chart-2',
  ceiling: '--chart-other',
  wall: '--chart-other',
  demand: '--chart-1',
  waiting: '--chart-4',
  input: '--chart-1',
  output: '--chart-2',
  cache_read: '--chart-3',
  cache_write: '--chart-4',
  p5: '--chart-3',
  p50: '--chart-1',
  p90: '--chart-2',
  p95: '--chart-4',
  p99: '--chart-5',
}
/** Colours for statuses, by their class (2xx, 4xx, 5xx). Each class has several: no two statuses of a chart may look the same. */
const STATUS: Record<string, readonly string[]> = {
  2: ['--chart-1', '--chart-3', '--chart-6'],
  4: ['--chart-4', '--chart-7', '--chart-2', '--chart-8'],
  5: ['--chart-5', '--chart-2', '--chart-8', '--chart-7'],
}

/** A line has the same colour in all charts and at all times, as far as its label is known. */
export function lineColours(labels: readonly string[]): string[] {
  const taken = new Set<string>()
  return labels.map((label, index) => {
    const status = /^([245])(\d\d|xx)$/.exec(label)
    const wanted = NAMED[label] ?? STATUS[status?.[1] ?? '']?.find((each) => !taken.has(each))
    const colour = wanted ?? firstFree(taken) ?? `--chart-${(index % COLOURS) + 1}`
    taken.add(colour)
    return colour
  })
}

function firstFree(taken: ReadonlySet<string>): string | undefined {
  return Array.from({ length: COLOURS }, (_, index) => `--chart-${index + 1}`).find(
    (each) => !taken.has(each),
  )
}

export interface ChartOptions {
  /** Turns what was counted in each step into a rate, for a second or a minute. */
  per?: 'second' | 'minute'
}

/** The chart of this name. What was counted in a step that is not over yet is left out: it would look like a fall. */
export function chartData(series: Series, name: string, { per }: ChartOptions = {}): ChartData {
  const chart = series.charts.find((each) => each.name === name)
  if (chart === undefined) return { times: [], lines: [] }
  const factor = per === undefined || chart.kind !== 'sum' ? 1 : (per === 'minute' ? 60 : 1) / series.step
  const isCut = series.last_is_partial && chart.kind === 'sum'
  const colours = lineColours(chart.lines.map(({ label }) => label))
  return {
    times: Array.from({ length: series.points }, (_, index) => series.from + index * series.step),
    lines: chart.lines.map((line, index) => ({
      label: line.label,
      values: line.values.map((value, at) => {
        if (value === null || (isCut && at === series.points - 1)) return null
        return value * factor
      }),
      total: line.total,
      colour: colours[index] ?? '--chart-other',
    })),
  }
}

/** All lines of a chart as one: the sum of each step; null where none is known. */
export function summed(lines: readonly { values: Values }[]): (number | null)[] {
  const points = Math.max(0, ...lines.map(({ values }) => values.length))
  return Array.from({ length: points }, (_, at) =>
    lines.reduce<number | null>((sum, { values }) => {
      const value = values[at] ?? null
      return value === null ? sum : (sum ?? 0) + value
    }, null),
  )
}

/** Lines laid on top of each other, the first at the bottom. A step of which nothing is known stays a gap. */
export function stacked(lines: readonly { values: Values }[]): (number | null)[][] {
  const height = summed(lines).map((sum): number | null => (sum === null ? null : 0))
  return lines.map(({ values }) =>
    height.map((below, at) => {
      if (below === null) return null
      const top = below + (values[at] ?? 0)
      height[at] = top
      return top
    }),
  )
}

/** Marks within the time shown, those within a few pixels as one. `apart`: seconds. */
export function groupedMarks(marks: readonly Mark[], from: number, to: number, apart: number): Mark[][] {
  const groups: Mark[][] = []
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    if (mark.at < from || mark.at > to) continue
    const last = groups.at(-1)
    if (last?.[0] && mark.at - last[0].at <= apart) last.push(mark)
    else groups.push([mark])
  }
  return groups
}

/** What the chart shows, for who can't see it: each line with its total, or its lowest, highest and last value. */
export function summary(
  chart: Pick<SeriesChart, 'title' | 'kind'>,
  lines: readonly ChartLine[],
  format: (value: number) => string,
): string {
  const said = lines.flatMap(({ label, values, total }) => {
    const known = values.filter((value) => value !== null)
    const last = known.at(-1)
    if (last === undefined) return []
    if (chart.kind === 'sum' && total !== null) return [`${label}: ${format(total)} in all`]
    const whole = chart.kind !== 'quantile' || total === null ? '' : `${format(total)} over all of it, `
    const [low, high] = known.reduce(
      ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
      [last, last],
    )
    return [`${label}: ${whole}${format(low)} to ${format(high)}, last ${format(last)}`]
  })
  return `${chart.title}. ${said.length === 0 ? 'Nothing is known of this time.' : `${said.join('; ')}.`}`
}
