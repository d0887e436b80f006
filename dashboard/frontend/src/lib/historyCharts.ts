/** Which charts the history shows, in which order, and how to ask for them in as few questions as possible. Pure. */

import type { Mark, Series, SeriesChart, SeriesQuery } from '../api/series'
import { type ChartData, chartData } from './chart'
import { formatBytes, formatCompact, formatCount, formatMoney, formatShare } from './numbers'
import type { Shape } from './plotOptions'
import { windowName, windowUnit } from './quota'
import { formatDuration } from './times'

export interface ChartSpec {
  /** The service's name for it. */
  name: string
  /** By what its lines are told apart, if not by the service's default. */
  by?: string
  title: string
  shape: Shape
  /** What it means that there is no line: nothing was counted, while the proxies were watched. */
  nothing: string
  /** The least that the axis reaches: 1 for shares. */
  reach?: number
  /** What it shows begins anew with a window of the plan. */
  isOfPlan?: boolean
}

export interface ChartSection {
  title: string
  charts: readonly ChartSpec[]
}

const NO_ANSWER = 'No request was answered'
const NO_TOKENS = 'No tokens were used'

/** In the order in which the questions come up: does it work, does it keep up, will the plan last, what for, what failed. */
export const SECTIONS: readonly ChartSection[] = [
  {
    title: 'Requests',
    charts: [
      { name: 'requests', title: 'Requests by status', shape: 'stacked', nothing: 'No requests' },
      { name: 'duration', title: 'Duration of successful requests', shape: 'line', nothing: NO_ANSWER },
      { name: 'first_byte', title: 'Time to the first byte', shape: 'line', nothing: NO_ANSWER },
    ],
  },
  {
    title: 'Limits and demand',
    charts: [
      { name: 'workers', title: 'Places', shape: 'line', nothing: 'No proxy told' },
      { name: 'rate', title: 'Request rate', shape: 'line', nothing: 'No proxy told' },
      { name: 'wait', title: 'Time in the queue', shape: 'line', nothing: 'No request had to wait' },
    ],
  },
  {
    title: 'Plan and cost',
    charts: [
      {
        name: 'quota',
        isOfPlan: true,
        title: 'Quota used',
        shape: 'line',
        nothing: 'Z.AI reported no quota',
        reach: 1,
      },
      {
        name: 'credits',
        isOfPlan: true,
        by: 'model',
        title: 'Plan credits',
        shape: 'stacked',
        nothing: 'No credits were used',
      },
      {
        name: 'cost',
        isOfPlan: true,
        by: 'model',
        title: 'Cost at list price',
        shape: 'stacked',
        nothing: 'Nothing was spent',
      },
    ],
  },
  {
    title: 'Tokens',
    charts: [
      { name: 'tokens', title: 'Tokens by kind', shape: 'stacked', nothing: NO_TOKENS },
      { name: 'tokens', by: 'model', title: 'Tokens by model', shape: 'stacked', nothing: NO_TOKENS },
      {
        name: 'cache_hit',
        title: 'Input that came from the cache',
        shape: 'line',
        nothing: NO_TOKENS,
        reach: 1,
      },
      { name: 'output_speed', title: 'Speed of answers', shape: 'line', nothing: NO_ANSWER },
    ],
  },
  {
    title: 'Trouble',
    charts: [
      { name: 'errors', title: 'Errors from Z.AI, by class', shape: 'stacked', nothing: 'No errors' },
      { name: 'broken', title: 'Broken on the way', shape: 'stacked', nothing: 'Nothing broke' },
      { name: 'refused', title: 'Refused by the proxy', shape: 'stacked', nothing: 'Nothing was refused' },
      { name: 'retries', title: 'Retries', shape: 'stacked', nothing: 'No retries' },
    ],
  },
]

export const ALL_CHARTS: readonly ChartSpec[] = SECTIONS.flatMap(({ charts }) => charts)

/** The most names that the service answers at once. */
const MOST_NAMES = 12

export type Question = Pick<SeriesQuery, 'name' | 'by'>

/** The charts of a split share a question, as many as the service allows. */
export function questions(charts: readonly ChartSpec[]): Question[] {
  const splits = new Map<string | undefined, Set<string>>()
  for (const { name, by } of charts) splits.set(by, (splits.get(by) ?? new Set()).add(name))
  return [...splits].flatMap(([by, wanted]) => {
    const names = [...wanted]
    return Array.from({ length: Math.ceil(names.length / MOST_NAMES) }, (_, index) => ({
      name: names.slice(index * MOST_NAMES, (index + 1) * MOST_NAMES),
      ...(by === undefined ? {} : { by }),
    }))
  })
}

export function chartKey({ name, by }: Pick<ChartSpec, 'name' | 'by'>): string {
  return by === undefined ? name : `${name} by ${by}`
}

/** A chart with what is drawn of it. */
export interface Drawn {
  chart: SeriesChart
  data: ChartData
  from: number
  to: number
  step: number
}

/** All charts that were answered, by their key. */
export function drawnCharts(asked: readonly Question[], answers: readonly (Series | undefined)[]) {
  const drawn = new Map<string, Drawn>()
  asked.forEach(({ by }, index) => {
    const series = answers[index]
    for (const chart of series?.charts ?? []) {
      if (series === undefined) continue
      const { from, to, step } = series
      const key = chartKey({ name: chart.name, ...(by === undefined ? {} : { by }) })
      drawn.set(key, { chart, data: inWords(chart.name, chartData(series, chart.name)), from, to, step })
    }
  })
  return drawn
}

const LABELS: Record<string, string> = {
  cache_read: 'cached input',
  cache_write: 'written to the cache',
  cache_hit: 'from the cache',
  wall: 'MAX_WORKERS',
}

/** The lines as people call them; what has no name here keeps the service's. */
function inWords(name: string, { times, lines }: ChartData): ChartData {
  const words = name === 'quota' ? windowInWords : (label: string) => LABELS[label] ?? label
  return { times, lines: lines.map((line) => ({ ...line, label: words(line.label) })) }
}

/** The window in words. The label is its name, followed by the type of its limit if that is not tokens: `five_hour CREDIT_LIMIT`. */
function windowInWords(label: string): string {
  const [window = '', limit_type = ''] = label.split(' ')
  const unit = windowUnit({ limit_type })
  const name = windowName({ window }).toLowerCase()
  return unit === null ? name : `${name}, ${unit}`
}

/** Whether the dashboard saw any proxy in that time: some figures (those of the places) come with each look at one. */
export function wasWatched(answers: readonly (Series | undefined)[]): boolean {
  return answers.some((series) =>
    series?.charts.some(({ lines }) => lines.some(({ values }) => values.some((value) => value !== null))),
  )
}

const STEPS: readonly [number, string][] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
]

/** `minute`, `5 minutes`, `2 hours`: the length of a step. */
export function stepInWords(step: number): string {
  const [size, name] = STEPS.find(([each]) => step >= each && step % each === 0) ?? [1, 'second']
  const count = Math.round(step / size)
  return count === 1 ? name : `${count} ${name}s`
}

const UNITS: Record<string, string> = {
  USD: 'US dollars',
  s: 'seconds',
  'requests/s': 'requests per second',
  share: 'percent',
}

/** What the numbers at the axis are: `requests per 5 minutes`, `seconds`. */
export function unitInWords({ kind, unit }: Pick<SeriesChart, 'kind' | 'unit'>, step: number): string {
  const name = UNITS[unit] ?? unit
  return kind === 'sum' ? `${name} per ${stepInWords(step)}` : name
}

/** How a number of this unit is written. */
export function formatOf(unit: string): (value: number) => string {
  switch (unit) {
    case 'USD':
      return formatMoney
    case 's':
      return formatDuration
    case 'share':
      return formatShare
    case 'bytes':
      return formatBytes
    default:
      return isCounted(unit) ? formatSmall : formatCompact
  }
}

/** Things of which there is no half. */
export function isCounted(unit: string): boolean {
  return ['requests', 'errors', 'retries', 'tokens'].includes(unit)
}

function formatSmall(value: number): string {
  return value < 10_000 && Number.isInteger(value) ? formatCount(value) : formatCompact(value)
}

const MARK_WORDS: Record<Mark['kind'], string> = {
  started: 'Started',
  deployed: 'New version',
  lost: 'Lost',
  back: 'Back',
  reset: 'Reset',
  gate_closed: 'Gate closed',
  gate_opened: 'Gate open',
}

export function markWord(kind: Mark['kind']): string {
  return MARK_WORDS[kind]
}

/** The marks of a chart. A window of five hours begins anew so often that it would hide what else happened. */
export function marksOf({ isOfPlan = false }: Pick<ChartSpec, 'isOfPlan'>, marks: readonly Mark[]): Mark[] {
  return marks.filter(({ kind }) => kind !== 'reset' || isOfPlan)
}

/** The marks of several answers, each once, the newest first. */
export function allMarks(answers: readonly (Series | undefined)[]): Mark[] {
  const found = new Map<string, Mark>()
  for (const mark of answers.flatMap((series) => series?.marks ?? [])) {
    found.set(`${mark.at} ${mark.kind} ${mark.target} ${mark.text}`, mark)
  }
  return [...found.values()].sort((a, b) => b.at - a.at)
}
