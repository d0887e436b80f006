import { expect, test } from 'vitest'
import { aRequest } from './examples'
import { timeline, timelineInWords } from './timeline'

test('a request was queued, sent, answered for the first time and for the last', () => {
  const line = timeline(aRequest({ waited: 0.5, first_byte: 1.3, duration: 10.3 }))
  expect(line.stretches).toEqual([
    { kind: 'queued', from: 0, to: 0.5 },
    { kind: 'silent', from: 0.5, to: 1.3 },
    { kind: 'answer', from: 1.3, to: 10.3 },
  ])
  expect(line.moments).toEqual([
    { name: 'Came in', at: 0 },
    { name: 'Sent to Z.AI', at: 0.5 },
    { name: 'First byte', at: 1.3 },
    { name: 'Last byte', at: 10.3 },
  ])
})

test('what did not take any time is no part of the bar', () => {
  const line = timeline(aRequest({ waited: 0, first_byte: null, duration: 60, outcome: 'failed' }))
  expect(line.stretches.map(({ kind }) => kind)).toEqual(['silent'])
  expect(line.moments.map(({ name }) => name)).toEqual(['Came in', 'Sent to Z.AI', 'Ended'])
})

test('what was refused was never sent', () => {
  const line = timeline(aRequest({ outcome: 'refused', waited: null, first_byte: null, duration: 30 }))
  expect(line.stretches).toEqual([{ kind: 'queued', from: 0, to: 30 }])
  expect(line.moments.map(({ name }) => name)).toEqual(['Came in', 'Refused'])
})

test('clocks that disagree make no stretch of less than nothing', () => {
  const line = timeline(aRequest({ waited: 2, first_byte: 1.9, duration: 1.8 }))
  expect(line.stretches).toEqual([{ kind: 'queued', from: 0, to: 1.8 }])
})

test('a screen reader is told the same as the eye', () => {
  const line = timeline(aRequest({ waited: 0.5, first_byte: 1.3, duration: 10.3 }))
  expect(timelineInWords(line)).toBe(
    '10 s in all, 0.5 s queued, 0.8 s waiting for the first byte, 9 s answer',
  )
})
