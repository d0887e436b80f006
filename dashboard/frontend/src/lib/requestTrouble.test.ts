import { expect, test } from 'vitest'
import { aRequest } from './examples'
import { areTokensKnown, lostInWords, requestTrouble, tokensAre } from './requestTrouble'

const failed = (changes: Parameters<typeof aRequest>[0]) =>
  requestTrouble(aRequest({ outcome: 'failed', ...changes }))

test('what ended well is no trouble', () => {
  expect(requestTrouble(aRequest())).toBeNull()
})

test('a code of Z.AI says more than its status', () => {
  expect(failed({ status: 429, error: '429', code: '1302' })).toEqual({
    title: 'Z.AI answered 1302: too many requests at the same time',
    advice: 'The proxy holds back by itself. If it goes on, set CONCURRENCY_LIMIT_MAX.',
  })
  expect(failed({ status: 429, error: '429', code: '9999' })?.title).toBe(
    'Z.AI answered 9999: a code that this version does not know',
  )
})

test('an overload is called a refusal of the client while Z.AI refuses that client alone', () => {
  const title = 'Z.AI refuses this client: ci (some-sdk)'
  const alert = { id: 'identity:ci:some-sdk', severity: 'warning', title, advice: 'Look.', since: 1 } as const
  const told = (client: string, code: string) =>
    requestTrouble(aRequest({ outcome: 'failed', status: 529, client, code }), [alert])?.title
  expect(told('ci', '1305')).toBe(title)
  expect(told('ci-2', '1305')).toMatch(/^Z.AI answered 1305: /)
  expect(told('ci', '1302')).toMatch(/^Z.AI answered 1302: /)
})

test('a code hidden in an answer of 200 is trouble too', () => {
  expect(requestTrouble(aRequest({ status: 200, outcome: 'ok', code: '1113' }))?.title).toMatch(
    /^Z.AI answered 1113: /,
  )
})

test('a refusal of the proxy names its reason, also one that is not known here', () => {
  const refused = (reason: string) =>
    requestTrouble(aRequest({ outcome: 'refused', refused: reason, status: 503 }))
  expect(refused('capacity')?.title).toBe('Every place was taken')
  expect(refused('bad_weather')?.title).toBe('The proxy refused it: bad weather')
})

test('what broke on the way, and whose status it was, is told apart', () => {
  expect(failed({ error: 'timeout', status: 504 })?.title).toBe('It was silent for too long')
  expect(failed({ error: '500', status: 500 })?.title).toBe('Z.AI answered 500')
  expect(failed({ error: null, status: 404 })?.title).toBe('The proxy answered 404')
  expect(failed({ error: null, status: null })?.title).toBe('It failed')
})

test('a client that left is no failure of anybody else', () => {
  const left = requestTrouble(aRequest({ outcome: 'aborted', status: 499, error: 'write_error' }))
  expect(left?.title).toBe('The client left before the answer was complete')
})

test('tokens that nobody reported are unknown, not none', () => {
  const known = (tokens_are: string | null) => areTokensKnown(aRequest({ tokens_are }))
  expect(['complete', 'estimated', 'partial'].map(known)).toEqual([true, true, true])
  expect(['missing', 'failed', null].map(known)).toEqual([false, false, false])
  expect(tokensAre(aRequest({ tokens_are: 'estimated' }))).toMatch(/^Estimated/)
  expect(tokensAre(aRequest())).toBeNull()
})

test('what a table does not have is said, and a whole table says nothing', () => {
  expect(lostInWords({ requests: 0, unknown_gaps: 0 })).toBeNull()
  expect(lostInWords({ requests: 1200, unknown_gaps: 1 })).toBe(
    "1,200 requests ended while the dashboard was away and had left the proxy's memory when it came back. " +
      'Once a proxy restarted while the dashboard was away: how many requests are missing is not known.',
  )
})
