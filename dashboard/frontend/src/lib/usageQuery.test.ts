import { describe, expect, test } from 'vitest'
import type { TimeRange } from './timeRange'
import { breakdownQuery, deeperAddress, parseUsageQuery, requestsAddress, usageCsv } from './usageQuery'

const DAY: TimeRange = { kind: 'last', seconds: 86_400 }
const parsed = (text: string) => parseUsageQuery(new URLSearchParams(text))

describe('the address', () => {
  test('names the split, what it is narrowed down to, and the proxy', () => {
    expect(parsed('by=session&client=ci&client=anna&model=glm-5.3&target=2')).toEqual({
      by: 'session',
      filters: [
        { name: 'client', value: 'ci' },
        { name: 'client', value: 'anna' },
        { name: 'model', value: 'glm-5.3' },
      ],
      target: '2',
    })
  })

  test('that makes no sense shows the clients, all of them', () => {
    expect(parsed('by=colour&client=&target=all')).toEqual({ by: 'client', filters: [], target: '' })
  })
})

test('the question names what the address names; of times all are wanted', () => {
  expect(breakdownQuery(parsed('by=session&client=ci&target=2'), DAY)).toEqual({
    by: 'session',
    from: '-1d',
    client: ['ci'],
    target: '2',
    limit: 50,
  })
  expect(breakdownQuery(parsed('by=day'), DAY).limit).toBe(500)
  expect(usageCsv(parsed('by=client'), DAY)).toBe('/api/breakdown?by=client&from=-1d&limit=500&format=csv')
})

describe('a row leads', () => {
  test('to its requests, with the filters there are, in the same time', () => {
    expect(requestsAddress(parsed('by=model&client=ci'), DAY, 'glm-5.3')).toBe(
      '/requests?client=ci&model=glm-5.3&from=-1d',
    )
  })

  test('to those that were for nothing', () => {
    expect(requestsAddress(parsed(''), DAY, 'ci & co', { isWasted: true })).toBe(
      '/requests?client=ci+%26+co&outcome=failed&outcome=aborted&from=-1d',
    )
  })

  test('to its parts', () => {
    expect(deeperAddress(parsed(''), DAY, 'ci')).toEqual({
      by: 'session',
      href: '/usage?by=session&client=ci&from=-1d',
    })
  })

  test('of a day to that day alone, by the hour', () => {
    expect(deeperAddress(parsed('by=day&client=ci'), DAY, 1_763_942_400)?.href).toBe(
      '/usage?by=hour&client=ci&from=1763942400&to=1764028800',
    )
  })

  test('nowhere if it named nothing', () => {
    expect(requestsAddress(parsed(''), DAY, null)).toBeNull()
    expect(deeperAddress(parsed(''), DAY, null)).toBeNull()
  })
})
