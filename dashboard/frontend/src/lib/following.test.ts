import { expect, test } from 'vitest'
import { aRequest } from './examples'
import { follow, MOST_ON_TOP } from './following'

const requests = (...ids: number[]) => ids.map((id) => aRequest({ id, ended: 1000 + id }))
const ids = (rows: readonly { id: number }[]) => rows.map(({ id }) => id)
const everything = () => true

test('what has come since the page was loaded goes on top, each once', () => {
  const { rows, unseen } = follow({
    loaded: requests(3, 2, 1),
    live: requests(5, 4, 3),
    matches: everything,
    heldAt: null,
  })
  expect(ids(rows)).toEqual([5, 4, 3, 2, 1])
  expect(unseen).toBe(0)
})

test('only what matches the filter does', () => {
  const odd = ({ id }: { id: number }) => id % 2 === 1
  const { rows } = follow({ loaded: requests(1), live: requests(5, 4, 3), matches: odd, heldAt: null })
  expect(ids(rows)).toEqual([5, 3, 1])
})

test('while it is held nothing moves, and what waits is counted', () => {
  const { rows, unseen, isOld } = follow({
    loaded: requests(3, 2),
    live: requests(6, 5, 4),
    matches: everything,
    heldAt: 4,
  })
  expect(ids(rows)).toEqual([4, 3, 2])
  expect([unseen, isOld]).toEqual([2, false])
})

test('rows stand in the order in which they ended, whatever their ids', () => {
  const late = aRequest({ id: 4, ended: 1001.5 })
  const { rows } = follow({ loaded: requests(2, 1), live: [late], matches: everything, heldAt: null })
  expect(ids(rows)).toEqual([2, 4, 1])
})

test('it is loaded anew before it grows long, and before anything could be missing', () => {
  const many = requests(...Array.from({ length: 400 }, (_, index) => 400 - index))
  const old = (live: typeof many, matches = everything, heldAt: number | null = null) =>
    follow({ loaded: [], live, matches, heldAt }).isOld
  expect(old(many.slice(-(MOST_ON_TOP - 1)))).toBe(false)
  expect(old(many.slice(-MOST_ON_TOP))).toBe(true)
  expect(old(many.slice(-MOST_ON_TOP), everything, 0)).toBe(false)
  expect(old(many, () => false)).toBe(true)
})

test('however many come before it is loaded anew, it stays as long as a page and what may be on top', () => {
  const many = requests(...Array.from({ length: 400 }, (_, index) => 403 - index))
  const { rows } = follow({ loaded: requests(3, 2, 1), live: many, matches: everything, heldAt: null })
  expect(ids(rows)).toEqual(ids(many.slice(0, MOST_ON_TOP + 3)))
})
