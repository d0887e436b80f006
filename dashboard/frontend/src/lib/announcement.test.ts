import { expect, test } from 'vitest'
import { announce, SILENCE } from './announcement'
import { aSnapshot } from './examples'

const working = (busy: number) =>
  aSnapshot({ health: { level: 'ok', headline: `Working: ${busy} of 8 places busy.`, since: null } })
const stale = (id: string, seconds: number) => {
  const title = `${id} has not answered for ${seconds} s`
  const alert = { id, severity: 'critical' as const, title, advice: '', since: 1 }
  return aSnapshot({ health: { level: 'critical', headline: title, since: 1 }, alerts: [alert] })
}

test('numbers that change each second are not read out again', () => {
  const first = announce(SILENCE, working(5))
  expect(announce(first, working(6))).toBe(first)
  const trouble = announce(first, stale('a', 20))
  expect(announce(trouble, stale('a', 25))).toBe(trouble)
})

test('another level, and another trouble, is', () => {
  const fine = announce(SILENCE, working(5))
  const first = announce(fine, stale('a', 20))
  const second = announce(first, stale('b', 20))
  const fineAgain = announce(second, working(6))
  expect([fine, first, second, fineAgain].map(({ text }) => text)).toEqual([
    'Everything works.',
    'a has not answered for 20 s',
    'b has not answered for 20 s',
    'Everything works.',
  ])
})
