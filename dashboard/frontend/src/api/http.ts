/** What went wrong, as the service says it in one sentence. `status` is 0 if it did not answer at all. */
export class ApiError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'ApiError'
    this.status = status
  }
}

/** Parameters of a query; what is `undefined`, empty or an empty list is left out, a list is repeated. */
export type Query = { [name: string]: string | number | readonly string[] | undefined }

export function queryString(query: Query): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== '') parameters.append(name, String(each))
    }
  }
  const text = parameters.toString()
  return text === '' ? '' : `?${text}`
}

export function getJson<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
  return send<T>(path + queryString(query), signal ? { signal } : {})
}

export function postJson<T>(path: string): Promise<T> {
  return send<T>(path, { method: 'POST' })
}

export function putJson<T>(path: string, body: unknown): Promise<T> {
  return send<T>(path, { method: 'PUT', body: JSON.stringify(body) })
}

/** Goes to the sign-in form and comes back to this page afterwards. */
export function signIn(): void {
  const here = window.location.pathname + window.location.search
  window.location.assign(`/login?next=${encodeURIComponent(here)}`)
}

async function send<T>(url: string, options: RequestInit): Promise<T> {
  const response = await fetch(url, { ...options, headers: { accept: 'application/json' } }).catch(
    (error: unknown) => {
      if (error instanceof DOMException && error.name === 'AbortError') throw error
      throw new ApiError(0, 'The dashboard does not answer.')
    },
  )
  if (response.ok) return (await response.json()) as T
  if (response.status === 401) signIn()
  throw new ApiError(response.status, await errorSentence(response))
}

async function errorSentence(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => null)
  const said = typeof body === 'object' && body !== null && 'error' in body ? body.error : null
  return typeof said === 'string' ? said : `The dashboard answered ${response.status}.`
}
