/** Durations and times of day, in the reader's time zone. Seconds, and Unix seconds. */

import { UNKNOWN } from './numbers'

type Maybe = number | null | undefined

const MINUTE = 60
const HOUR = 3600
const DAY = 86_400

/** `480 ms`, `1.3 s`, `12 s`, `4 min`, `2 h 5 min`, `3 d 4 h`: two units at most. */
export function formatDuration(seconds: Maybe): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN
  const size = Math.max(0, seconds)
  if (size > 0 && size < 0.0995) return `${Math.max(1, Math.round(size * 1000))} ms`
  if (size < 9.95 && !Number.isInteger(size)) return `${Number(size.toFixed(1))} s`
  return formatWhole(size)
}

/** For what counts up each second: whole seconds, so that no digit jumps. */
export function formatAge(seconds: Maybe): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN
  return formatWhole(Math.max(0, Math.floor(seconds)))
}

function formatWhole(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < MINUTE) return `${whole} s`
  if (whole < 10 * MINUTE) return pair(whole, MINUTE, 'min', 1, 's')
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`
  if (whole < DAY) return pair(whole, HOUR, 'h', MINUTE, 'min')
  return pair(whole, DAY, 'd', HOUR, 'h')
}

function pair(whole: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((whole % large) / small)
  return `${Math.floor(whole / large)} ${largeName}${rest > 0 ? ` ${rest} ${smallName}` : ''}`
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })
const clockWithSeconds = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
})
const weekday = new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit' })
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })
const dateAndClock = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
})
const dateOfYear = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const everything = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
})

/** `16:40`, or `16:40:12` with seconds. */
export function formatClock(at: Maybe, withSeconds = false): string {
  return shown(at, (when) => (withSeconds ? clockWithSeconds : clock).format(when))
}

/** As much of a date as it takes: `16:40` today, `Thu 16:40` within a week, else `24 Nov, 16:40`, `24 Nov 2027`. */
export function formatWhen(at: Maybe, now: number): string {
  return shown(at, (when) => {
    const today = new Date(now * 1000)
    if (when.toDateString() === today.toDateString()) return clock.format(when)
    const distance = Math.abs(when.getTime() - today.getTime()) / 1000
    if (distance < 6 * DAY) return weekday.format(when).replace(',', '')
    return distance < 300 * DAY ? dateAndClock.format(when) : dateOfYear.format(when)
  })
}

/** `24 Nov`. */
export function formatDate(at: Maybe): string {
  return shown(at, (when) => date.format(when))
}

/** Day, time to the second and zone, for titles. */
export function formatMoment(at: Maybe): string {
  return shown(at, (when) => everything.format(when))
}

function shown(at: Maybe, format: (when: Date) => string): string {
  return at === null || at === undefined || !Number.isFinite(at) ? UNKNOWN : format(new Date(at * 1000))
}
