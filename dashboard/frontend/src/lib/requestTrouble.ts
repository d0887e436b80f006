/** Why a request did not end well, in a sentence, and what a person can do about it. */

import type { Alert } from '../api/now'
import type { FinishedRequest } from '../api/requests'
import { BUSINESS_CODES, type ErrorClass } from './businessCodes'

export interface Trouble {
  title: string
  advice: string
}

type Words = readonly [title: string, advice: string]

const CLASSES: Record<ErrorClass, string> = {
  concurrency: 'The proxy holds back by itself. If it goes on, set CONCURRENCY_LIMIT_MAX.',
  frequency: 'The proxy slows down by itself. If it goes on, let fewer agents work at once.',
  overload: 'Nothing to do here: the proxy tries again. If it lasts, use another model for a while.',
  quota: 'Wait for the reset shown under quota, or buy a larger plan.',
  auth: 'Check that the proxy has a current Z.AI key, made on the host that it calls.',
  account: "The owner of the account has to act: renew, top up, or ask Z.AI's support.",
  client: 'Whoever sends it has to change it: Z.AI takes this request at no time.',
  internal: "Something failed inside Z.AI: try again. If it goes on, look at Z.AI's status page.",
  identity:
    'Z.AI refuses this client while others pass: look at its user agent and system prompt (docs/clients.md#when-zai-refuses-a-client).',
  unknown: "Try again. If it goes on, look at Z.AI's status page.",
}

const REFUSALS: Record<string, Words> = {
  capacity: [
    'Every place was taken',
    'Let fewer agents work at once, or raise MAX_WORKERS to let more of them wait.',
  ],
  rate: [
    'It waited too long for its turn',
    'Z.AI allows less than the agents ask for: let fewer of them work at once.',
  ],
  quota: [
    'A window of the plan is used up, or kept for main conversations',
    'Wait for the reset shown under quota, or buy a larger plan.',
  ],
  draining: ['The proxy was shutting down', 'Nothing to do if it is restarting: clients try again.'],
  cancelled: ['Somebody ended it, here or at the proxy', 'Send it again if that was a mistake.'],
  unauthorized: [
    'The proxy does not know the token that the client sent',
    'Give the client a token of the proxy: zai-proxy token.',
  ],
  client_limit: [
    'The client has as much under way, or has used as much today, as it may',
    'Wait, or raise its limit in the file of client tokens.',
  ],
  origin: [
    'A web page asked that may not use the proxy',
    'If it is yours, name its origin in CORS_ORIGINS. If not, it tried to spend the key.',
  ],
}

const BROKEN: Record<string, Words> = {
  request_creation: [
    'No request could be sent to Z.AI',
    "Look into the proxy's log: no healthy host, or the outer limit on workers.",
  ],
  upstream_connection: [
    'Z.AI could not be reached',
    "Check the proxy's network and DNS, and whether ZAI_TARGET_URL is right.",
  ],
  read_error: [
    'The answer broke off',
    'Agents usually try again. If it goes on, look for a proxy or firewall that cuts long connections.',
  ],
  timeout: [
    'It was silent for too long',
    'Z.AI may be stuck. STREAM_IDLE_TIMEOUT and MAX_STREAM_DURATION are the limits.',
  ],
}

const LEFT: Words = [
  'The client left before the answer was complete',
  "Often a person who pressed stop. If not: the client's own time limit may be too short.",
]

/**
 * What went wrong with a request; null if nothing did. An error code is trouble even in an answer of status 200, where Z.AI hides
 * some. Z.AI reports a refused client as an overload. If an alert says that this client is refused, its text is shown in place of the
 * overload's.
 */
export function requestTrouble(request: FinishedRequest, alerts: readonly Alert[] = []): Trouble | null {
  const { outcome, refused, code, error, status } = request
  if (refused !== null) return words(REFUSALS[refused] ?? [`The proxy refused it: ${plain(refused)}`, LOOK])
  if (outcome === 'aborted') return words(LEFT)
  if (code !== null) return refusedIdentity(request, alerts) ?? codeTrouble(code)
  if (outcome === 'ok') return null
  const broken = error === null ? undefined : BROKEN[error]
  if (broken !== undefined) return words(broken)
  return words(statusWords(status, error))
}

const LOOK = "Look into the proxy's log: the request id is in its line."

function refusedIdentity({ client, code }: FinishedRequest, alerts: readonly Alert[]): Trouble | null {
  if (code === null || BUSINESS_CODES[code]?.[0] !== 'overload') return null
  return alerts.find(({ id }) => id.startsWith(`identity:${client}:`)) ?? null
}

function codeTrouble(code: string): Trouble {
  const [kind, meaning] = BUSINESS_CODES[code] ?? [
    'unknown' as const,
    'a code that this version does not know',
  ]
  return { title: `Z.AI answered ${code}: ${meaning}`, advice: CLASSES[kind] }
}

function statusWords(status: number | null, error: string | null): Words {
  if (status === null) return [error === null ? 'It failed' : `It failed: ${plain(error)}`, LOOK]
  const title = `${error === String(status) ? 'Z.AI' : 'The proxy'} answered ${status}`
  if (status === 401 || status === 403)
    return [title, 'Check the key of the proxy, and what the client asked for.']
  if (status === 404) return [title, 'Check the path, and the base address in the settings of the client.']
  if (status === 429) return [title, CLASSES.frequency]
  return [title, status < 500 ? CLASSES.client : CLASSES.unknown]
}

function words([title, advice]: Words): Trouble {
  return { title, advice }
}

function plain(name: string): string {
  return name.replaceAll('_', ' ')
}

/** How a request ended, in a word or two. */
export const OUTCOME_WORDS: Record<FinishedRequest['outcome'], string> = {
  ok: 'answered',
  failed: 'failed',
  aborted: 'client left',
  refused: 'refused',
}

/** How the tokens became known; null if there is nothing to say about that. */
export function tokensAre({ tokens_are }: FinishedRequest): string | null {
  return tokens_are === null ? null : (TOKENS_ARE[tokens_are] ?? null)
}

const TOKENS_ARE: Record<string, string> = {
  estimated: 'Estimated from the size of request and answer: Z.AI reported none.',
  partial: 'Those that were reported before the answer broke off.',
  missing: 'Z.AI reported none.',
  failed: 'What Z.AI reported could not be read.',
}

/** Whether the numbers of tokens mean something: an answer without a report has none, which is not 0. */
export function areTokensKnown({ tokens_are }: FinishedRequest): boolean {
  return tokens_are === 'complete' || tokens_are === 'estimated' || tokens_are === 'partial'
}

/** What a table does not have, in words; null if it has everything. */
export function lostInWords({
  requests,
  unknown_gaps,
}: {
  requests: number
  unknown_gaps: number
}): string | null {
  const parts = []
  if (requests > 0) {
    parts.push(
      `${requests === 1 ? '1 request' : `${requests.toLocaleString('en-US')} requests`} ended while the dashboard was away and had left the proxy's memory when it came back.`,
    )
  }
  if (unknown_gaps > 0) {
    const times = unknown_gaps === 1 ? 'Once' : `${unknown_gaps.toLocaleString('en-US')} times`
    parts.push(
      `${times} a proxy restarted while the dashboard was away: how many requests are missing is not known.`,
    )
  }
  return parts.length === 0 ? null : parts.join(' ')
}
