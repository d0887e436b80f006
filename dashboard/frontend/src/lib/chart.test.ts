import { describe, expect, test } from 'vitest'
import type { Mark } from '../api/series'
import { chartData, groupedMarks, lineColours, stacked, summary, summed } from './chart'
import { aChart, aSeries } from './examples'
import { formatCount } from './numbers'

describe('what a chart draws', () => {
  test('has a time for each step, and a gap where nothing is known', () => {
    const data = chartData(aSeries([aChart({ '200': [14, null, 0] })]), 'requests')
    expect(data.times).toEqual([1000, 1060, 1120])
    expect(data.lines[0]?.values).toEqual([14, null, 0])
  })

  test('leaves out what was counted in a step that is not over', () => {
    const series = aSeries(
      [aChart({ '200': [14, 3] }), aChart({ busy: [5, 6] }, { name: 'workers', kind: 'mean' })],
      {
        last_is_partial: true,
      },
    )
    expect(chartData(series, 'requests').lines[0]?.values).toEqual([14, null])
    expect(chartData(series, 'workers').lines[0]?.values).toEqual([5, 6])
  })

  test('can be a rate, whatever the step', () => {
    const series = aSeries([aChart({ '200': [30] })], { step: 15 })
    expect(chartData(series, 'requests', { per: 'minute' }).lines[0]?.values).toEqual([120])
    expect(chartData(series, 'requests', { per: 'second' }).lines[0]?.values).toEqual([2])
  })

  test('is empty if the service did not send it', () => {
    expect(chartData(aSeries([]), 'requests')).toEqual({ times: [], lines: [] })
  })
})

describe('colours', () => {
  test('stay with a label, whatever else is in the chart', () => {
    expect(lineColours(['p99', 'p50'])).toEqual(lineColours(['p50', 'p99']).reverse())
  })

  test.each([
    [['200', '201', '404', '429', '500', '503']],
    [['2xx', '4xx', '5xx']],
    [['glm-5.3', 'glm-5-turbo', 'other']],
  ])('are never the same for two of %o', (labels) => {
    expect(new Set(lineColours(labels)).size).toBe(labels.length)
  })

  test('begin again where there are more lines than colours', () => {
    expect(lineColours(Array.from({ length: 12 }, (_, index) => `model-${index}`))).toHaveLength(12)
  })
})

describe('lines on top of each other', () => {
  const lines = [{ values: [1, 2, null, null] }, { values: [10, null, null, 4] }]

  test('add up; one that is not known adds nothing, and none known is a gap', () => {
    expect(stacked(lines)).toEqual([
      [1, 2, null, 0],
      [11, 2, null, 4],
    ])
    expect(summed(lines)).toEqual([11, 2, null, 4])
  })

  test('of nothing are nothing', () => {
    expect([stacked([]), summed([])]).toEqual([[], []])
  })
})

test('marks close to each other are one, and those out of sight none', () => {
  const mark = (at: number): Mark => ({ at, kind: 'started', target: 1, text: `at ${at}` })
  const groups = groupedMarks([mark(300), mark(100), mark(104), mark(999)], 0, 500, 10)
  expect(groups.map((group) => group.map(({ at }) => at))).toEqual([[100, 104], [300]])
})

describe('in words', () => {
  const { lines } = chartData(aSeries([aChart({ '200': [14, 12, null], '429': [0, 1, null] })]), 'requests')

  test('counts are totals', () => {
    expect(summary({ title: 'Requests', kind: 'sum' }, lines, formatCount)).toBe(
      'Requests. 200: 26 in all; 429: 1 in all.',
    )
  })

  test('anything else has a lowest, a highest and a last value', () => {
    expect(summary({ title: 'Workers', kind: 'mean' }, lines.slice(0, 1), formatCount)).toBe(
      'Workers. 200: 12 to 14, last 12.',
    )
  })

  test('a percentile has one of the whole time too', () => {
    expect(summary({ title: 'Duration', kind: 'quantile' }, lines.slice(1), formatCount)).toBe(
      'Duration. 429: 1 over all of it, 0 to 1, last 1.',
    )
  })

  test('a time of which nothing is known is said to be so', () => {
    expect(summary({ title: 'Workers', kind: 'mean' }, [], formatCount)).toBe(
      'Workers. Nothing is known of this time.',
    )
  })
})
