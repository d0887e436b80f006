/** Shapes that several endpoints share. Times are Unix seconds, durations seconds, sizes bytes, money US dollars. */

export interface TokenCounts {
  input: number | null
  output: number | null
  cache_read: number | null
  cache_write: number | null
}

export interface TokenCountsWithReasoning extends TokenCounts {
  reasoning: number | null
}

export type TokenDirection = keyof TokenCounts

/** What tells requests apart, in running ones as in finished ones. */
export interface RequestIdentity {
  target: number
  request_id: string | null
  method: string | null
  path: string | null
  client: string | null
  session: string | null
  agent: string | null
  lane: string | null
  /** What answers it, or has answered the name that it asks for before. */
  model: string | null
  model_asked: string | null
}
