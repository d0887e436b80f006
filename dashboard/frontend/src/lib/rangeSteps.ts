/** Ways from one time shown to another: out, back, earlier, later, and from what was typed. Pure; `now` in Unix seconds. */

import { PRESETS, type TimeRange } from './timeRange'

const LONGEST = 10 * 365 * 86_400
const SHORTEST = 60

type Moments = { from: number; to: number }

function moments(range: TimeRange, now: number): Moments {
  return range.kind === 'between' ? range : { from: now - range.seconds, to: now }
}

/** Three times as long around the same middle, never in the future. A time up to now becomes the next longer one. */
export function zoomedOut(range: TimeRange, now: number): TimeRange {
  if (range.kind === 'last') {
    return { kind: 'last', seconds: nextPreset(range.seconds + 1) ?? range.seconds }
  }
  const length = range.to - range.from
  const to = Math.min(Math.floor(now), range.to + length)
  return { kind: 'between', from: Math.max(to - LONGEST, to - 3 * length, 0), to }
}

/** Half of its length earlier (-1) or later (+1), up to now. */
export function shifted(range: TimeRange, direction: -1 | 1, now: number): TimeRange {
  const { from, to } = moments(range, now)
  const length = to - from
  const end = Math.min(Math.floor(now), Math.round(to + (direction * length) / 2))
  return { kind: 'between', from: Math.max(0, Math.round(end - length)), to: end }
}

/** The shortest time up to now that still shows what is shown; the longest there is if none does. */
export function enclosing(range: TimeRange, now: number): TimeRange {
  const { from } = moments(range, now)
  return { kind: 'last', seconds: nextPreset(now - from) ?? PRESETS.at(-1)?.seconds ?? 3600 }
}

function nextPreset(seconds: number): number | undefined {
  return PRESETS.find((preset) => preset.seconds >= seconds)?.seconds
}

/** So much time on either side of a moment. */
export function around(at: number, seconds: number, now: number): TimeRange {
  const to = Math.min(Math.floor(now), Math.ceil(at + seconds))
  return { kind: 'between', from: Math.floor(Math.min(at, to) - seconds), to }
}

/** `last 6 hours`, `last 45 minutes`: a time up to now in words. */
export function lastInWords(seconds: number): string {
  const known = PRESETS.find((preset) => preset.seconds === seconds)
  if (known !== undefined) return known.spoken
  const [size, name] = (
    [
      [86_400, 'days'],
      [3600, 'hours'],
      [60, 'minutes'],
    ] as const
  ).find(([each]) => seconds % each === 0) ?? [60, 'minutes']
  const count = Math.round(seconds / size)
  return `last ${count === 1 ? name.slice(0, -1) : `${count} ${name}`}`
}

/** What an input of the type datetime-local holds: the reader's time of day, without a zone. */
export function toInput(at: number): string {
  const when = new Date(at * 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${String(when.getFullYear()).padStart(4, '0')}-${two(when.getMonth() + 1)}-${two(when.getDate())}`
  return `${day}T${two(when.getHours())}:${two(when.getMinutes())}`
}

/** The time between two inputs, or one sentence about what is wrong with them. */
export function typedRange(from: string, to: string, now: number): TimeRange | string {
  const [start, end] = [from, to].map((text) => Math.floor(new Date(text).getTime() / 1000))
  if (start === undefined || end === undefined || Number.isNaN(start + end))
    return 'Give a day and a time for both.'
  if (start > now) return 'That begins in the future.'
  if (end <= start) return 'The end has to be after the beginning.'
  if (end - start < SHORTEST) return 'Show a minute at least.'
  if (end - start > LONGEST) return 'Show ten years at most.'
  return { kind: 'between', from: start, to: end }
}
