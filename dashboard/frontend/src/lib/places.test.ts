import { expect, test } from 'vitest'
import { aSnapshot } from './examples'
import { placeList, places, placesInWords, placesShort } from './places'

const crowded = places(
  aSnapshot({ workers: { busy: 5, limit: 3, wall: 6, draining: false }, running_total: 3, waiting_total: 2 }),
)

test('a request that waits for its turn holds a place but does not run', () => {
  expect(crowded).toEqual({ running: 3, waiting: 2, limit: 3, wall: 6 })
  expect(placesInWords(crowded)).toBe('3 running, the plan allows 3, 2 waiting, 6 places in all')
  expect(placeList(crowded)).toEqual(['running', 'running', 'running', 'waiting', 'waiting', 'beyond'])
})

test('what is free and allowed is told from what is free but beyond the plan', () => {
  expect(placeList({ running: 1, waiting: 0, limit: 2, wall: 4 })).toEqual([
    'running',
    'free',
    'beyond',
    'beyond',
  ])
})

test('without a learned limit all places are allowed', () => {
  expect(placeList({ running: 1, waiting: 0, limit: null, wall: 2 })).toEqual(['running', 'free'])
  expect(placesShort({ running: 1, waiting: 0, limit: null, wall: 2 })).toEqual(['1', '2'])
})

test('more than there are places, for a moment, breaks nothing', () => {
  expect(placeList({ running: 3, waiting: 0, limit: 2, wall: 2 })).toEqual(['running', 'running', 'running'])
})

test('what nobody knows is not 0', () => {
  const unknown = places(aSnapshot({ workers: { busy: null, limit: null, wall: null, draining: false } }))
  expect(placesInWords(unknown)).toBe('unknown how many running')
  expect(placesShort(unknown)).toEqual(['–', '–'])
  expect(placeList(unknown)).toEqual([])
})
