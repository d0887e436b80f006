/** Shapes that several endpoints share. Times are Unix seconds, durations seconds, sizes bytes, money US dollars. */
import type { Rates, Waiting } from './schema'

export type { Tokens } from './schema'

/** Numbers of tokens, or tokens a minute, that may not be known. */
export type TokenCounts = Rates

export type TokenDirection = keyof TokenCounts

/** What tells requests apart, in running ones as in finished ones. */
export type RequestIdentity = Omit<Waiting, 'id' | 'waited'>
