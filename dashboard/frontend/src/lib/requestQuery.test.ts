import { describe, expect, test } from 'vitest'
import { queryString } from '../api/http'
import { aRequest } from './examples'
import { nameBook } from './names'
import { csvUrl, isNewestFirst, matches, parseTableQuery, requestsQuery } from './requestQuery'

const parsed = (address: string) => parseTableQuery(new URLSearchParams(address))
const NOW = 1_764_000_000

describe('the address of the table', () => {
  test('has the names of the API, and becomes its question', () => {
    const address =
      'client=ci&client=anna&status=4xx&outcome=failed&search=b7c1&from=-6h&sort=duration&order=asc&after=eyJ'
    expect(queryString(requestsQuery(parsed(address)))).toBe(
      '?client=ci&client=anna&status=4xx&outcome=failed&search=b7c1&from=-6h&sort=duration&order=asc&limit=50&after=eyJ',
    )
  })

  test('without a word asks for the newest of all that is kept', () => {
    expect(queryString(requestsQuery(parsed('')))).toBe('?sort=ended&order=desc&limit=50')
  })

  test('leaves out what makes no sense', () => {
    const odd = 'status=abc&status=200&outcome=good&target=x&sort=colour&order=up&from=now&open=-4&client='
    expect(queryString(requestsQuery(parsed(odd)))).toBe('?status=200&sort=ended&order=desc&limit=50')
    expect(parsed(odd).open).toBeNull()
    expect(parsed('open=4711').open).toBe(4711)
  })

  test('as a file is not cut into pages', () => {
    expect(csvUrl(parsed('model=glm-5.3&after=eyJ&open=3'))).toBe(
      '/api/requests?model=glm-5.3&sort=ended&order=desc&format=csv',
    )
  })
})

test('only the first page of the newest, without an end, takes new requests', () => {
  expect(['', 'client=ci', 'from=-1h'].map((each) => isNewestFirst(parsed(each)))).toEqual([true, true, true])
  for (const other of ['after=eyJ', 'sort=tokens', 'order=asc', `from=${NOW - 900}&to=${NOW}`]) {
    expect(isNewestFirst(parsed(other))).toBe(false)
  }
})

describe('a new request matches', () => {
  const request = aRequest({ client: 'anna', status: 429, outcome: 'failed', agent: null, ended: NOW - 10 })
  const fits = (address: string) => matches(request, parsed(address), NOW)

  test('each filter that is set, by one of its values', () => {
    expect(fits('client=ci&client=anna&outcome=failed')).toBe(true)
    expect(fits('client=ci')).toBe(false)
    expect(fits('agent=reviewer')).toBe(false)
    expect(fits('target=1')).toBe(true)
  })

  test('a status by itself or by its class', () => {
    expect(['status=429', 'status=4xx', 'status=200&status=4xx'].map(fits)).toEqual([true, true, true])
    expect(['status=200', 'status=5xx'].map(fits)).toEqual([false, false])
  })

  test('a search in any of its names, in whatever case', () => {
    expect(['search=ANN', 'search=glm', 'search=/messages', 'search=nowhere'].map(fits)).toEqual([
      true,
      true,
      true,
      false,
    ])
  })

  test('a search for what people call its client or its session', () => {
    const named = aRequest({ client: 'source-17', session: 's-1' })
    const names = nameBook([
      { kind: 'client', key: 'source-17', name: 'Jürgen’s laptop' },
      { kind: 'session', key: 's-1', name: 'The big refactoring' },
    ])
    const found = (search: string) => matches(named, parsed(`search=${search}`), NOW + 1, names)
    expect(['JÜRGEN', 'refactoring', 'claude code', 'nobody'].map(found)).toEqual([true, true, true, false])
  })

  test('a time that it ended in', () => {
    expect(fits('from=-1m')).toBe(true)
    expect(matches(request, parsed('from=-1m'), NOW + 60)).toBe(false)
    expect(fits(`from=${NOW - 100}&to=${NOW - 10}`)).toBe(false)
  })
})
