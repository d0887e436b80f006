import { getJson, type Query } from './http'

export interface Series {
  from: number
  to: number
  step: number
  points: number
  last_is_partial: boolean
  charts: SeriesChart[]
  marks: Mark[]
}

export interface SeriesChart {
  name: string
  title: string
  kind: 'sum' | 'mean' | 'quantile'
  unit: string
  lines: SeriesLine[]
}

/** Value `i` covers `[from + i * step, from + (i + 1) * step)`; `null` is a time of which nothing is known. */
export interface SeriesLine {
  label: string
  labels: Record<string, string>
  values: (number | null)[]
  total: number | null
}

export interface Mark {
  at: number
  kind: 'started' | 'deployed' | 'lost' | 'back' | 'reset' | 'gate_closed' | 'gate_opened'
  target: number | null
  text: string
}

export interface SeriesQuery extends Query {
  name: string[]
  from?: string
  to?: string
  step?: number
  target?: string
  by?: string
}

export function getSeries(query: SeriesQuery, signal?: AbortSignal): Promise<Series> {
  return getJson('/api/series', { ...query, name: query.name.join(',') }, signal)
}
