import { getJson } from './http'
import type { paths, Series } from './schema'

export type { Chart as SeriesChart, Line as SeriesLine, Mark, Series } from './schema'

type Asked = NonNullable<paths['/api/series']['get']['parameters']['query']>

/** The charts by their names. */
export type SeriesQuery = Omit<Asked, 'name'> & { name: string[] }

export function getSeries(query: SeriesQuery, signal?: AbortSignal): Promise<Series> {
  return getJson('/api/series', { ...query, name: query.name.join(',') }, signal)
}
