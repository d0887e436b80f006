import { describe, expect, test } from 'vitest'
import type { Mark } from '../api/series'
import { aChart, aSeries } from './examples'
import {
  ALL_CHARTS,
  allMarks,
  type ChartSpec,
  chartKey,
  drawnCharts,
  formatOf,
  marksOf,
  questions,
  stepInWords,
  unitInWords,
  wasWatched,
} from './historyCharts'

const spec = (name: string, by?: string): ChartSpec => ({
  name,
  ...(by === undefined ? {} : { by }),
  title: name,
  shape: 'line',
  nothing: 'none',
})

describe('questions', () => {
  test('name each chart once, no more than twelve at a time, and those with the same split together', () => {
    const many = Array.from({ length: 13 }, (_, index) => spec(`chart-${index}`))
    const asked = questions([...many, spec('tokens'), spec('tokens', 'model'), spec('cost', 'model')])
    expect(asked.map(({ name, by }) => [name.length, by])).toEqual([
      [12, undefined],
      [2, undefined],
      [2, 'model'],
    ])
  })

  test('of the page cover all of its charts', () => {
    const asked = questions(ALL_CHARTS).flatMap(({ name, by }) => name.map((each) => `${each} ${by}`))
    expect(new Set(asked)).toEqual(new Set(ALL_CHARTS.map(({ name, by }) => `${name} ${by}`)))
    expect(new Set(ALL_CHARTS.map(chartKey)).size).toBe(ALL_CHARTS.length)
  })
})

describe('what is drawn', () => {
  const tokens = (lines: Record<string, number[]>) => aChart(lines, { name: 'tokens', unit: 'tokens' })

  test('keeps two splits of the same chart apart', () => {
    const drawn = drawnCharts(
      [{ name: ['tokens'] }, { name: ['tokens'], by: 'model' }],
      [aSeries([tokens({ input: [1] })]), aSeries([tokens({ 'glm-5.3': [2] })], { step: 300 })],
    )
    expect(drawn.get('tokens')?.data.lines.map(({ label }) => label)).toEqual(['input'])
    expect(drawn.get('tokens by model')?.data.lines.map(({ label }) => label)).toEqual(['glm-5.3'])
    expect(drawn.get('tokens by model')?.step).toBe(300)
  })

  test('calls its lines as people do, with the colours that they have elsewhere', () => {
    const drawn = drawnCharts([{ name: ['tokens'] }], [aSeries([tokens({ cache_read: [1], other: [2] })])])
    expect(drawn.get('tokens')?.data.lines.map(({ label, colour }) => [label, colour])).toEqual([
      ['cached input', '--chart-3'],
      ['other', '--chart-other'],
    ])
  })

  test('tells windows of the plan apart by what they limit', () => {
    const quota = aChart({ weekly: [0.1], 'five_hour CREDIT_LIMIT': [0.2], 'monthly TIME_LIMIT': [0] })
    const drawn = drawnCharts([{ name: ['quota'] }], [aSeries([{ ...quota, name: 'quota', kind: 'mean' }])])
    expect(drawn.get('quota')?.data.lines.map(({ label }) => label)).toEqual([
      'week',
      '5 hours, credits',
      'month, tool calls',
    ])
  })

  test('is nothing of what was not answered', () => {
    expect(drawnCharts([{ name: ['tokens'] }], [undefined]).size).toBe(0)
  })
})

test('a time was watched if anything in it is known, a zero included', () => {
  expect(wasWatched([aSeries([aChart({ busy: [null, 0] })])])).toBe(true)
  expect(wasWatched([aSeries([aChart({ busy: [null, null] })]), undefined])).toBe(false)
  expect(wasWatched([])).toBe(false)
})

test.each([
  [5, '5 seconds'],
  [60, 'minute'],
  [300, '5 minutes'],
  [3600, 'hour'],
  [21_600, '6 hours'],
  [86_400, 'day'],
])('a step of %d s is a %s', (step, words) => {
  expect(stepInWords(step)).toBe(words)
})

test('a count has its step as part of the unit, anything else has not', () => {
  expect(unitInWords({ kind: 'sum', unit: 'requests' }, 300)).toBe('requests per 5 minutes')
  expect(unitInWords({ kind: 'sum', unit: 'USD' }, 3600)).toBe('US dollars per hour')
  expect(unitInWords({ kind: 'quantile', unit: 's' }, 300)).toBe('seconds')
})

test.each([
  ['USD', 4.1, '$4.10'],
  ['s', 0.48, '0.5 s'],
  ['share', 0.37, '37 %'],
  ['requests', 1640, '1,640'],
  ['requests', 4.375, '4.38'],
  ['tokens', 1_812_000, '1.81M'],
])('a number of the unit %s, %d, is written %s', (unit, value, text) => {
  expect(formatOf(unit)(value)).toBe(text)
})

test('a mark that comes with several answers is shown once, the newest first', () => {
  const mark = (at: number): Mark => ({ at, kind: 'started', target: 1, text: 'started' })
  const first = aSeries([], { marks: [mark(1), mark(2)] })
  const second = aSeries([], { marks: [mark(2), mark(3)] })
  expect(allMarks([first, second, undefined]).map(({ at }) => at)).toEqual([3, 2, 1])
})

test('a window that begins anew is marked only where the plan is shown', () => {
  const marks: Mark[] = [
    { at: 1, kind: 'reset', target: null, text: 'five-hour window began anew' },
    { at: 2, kind: 'deployed', target: 1, text: 'now 0.2.0' },
  ]
  expect(marksOf({ isOfPlan: true }, marks)).toHaveLength(2)
  expect(marksOf({}, marks).map(({ kind }) => kind)).toEqual(['deployed'])
})
