import { getJson } from './http'
import type { Request as FinishedRequest, paths, Requests as RequestsPage } from './schema'

export type { Outcome, Request as FinishedRequest, Requests as RequestsPage } from './schema'

export type RequestsQuery = NonNullable<paths['/api/requests']['get']['parameters']['query']>

export type RequestSort = NonNullable<RequestsQuery['sort']>

export function getRequests(query: RequestsQuery, signal?: AbortSignal): Promise<RequestsPage> {
  return getJson('/api/requests', query, signal)
}

export function getRequest(id: number, signal?: AbortSignal): Promise<FinishedRequest> {
  return getJson(`/api/requests/${id}`, {}, signal)
}
