/** Requests, lanes and limits in a few words. */

import type { RequestIdentity } from '../api/common'
import type { Limit, ModelLimit, SharedPlaces, TargetState } from '../api/now'
import { givenName, type NameBook } from './names'
import { formatCompact, formatCount, plural } from './numbers'

const LANES: Record<string, string> = { main: 'main', subagent: 'sub-agent', background: 'background' }

export function laneName(lane: string | null): string {
  return lane === null ? 'unknown lane' : (LANES[lane] ?? lane)
}

type Sender = Pick<RequestIdentity, 'client' | 'session'>

/** The client as people named it. */
export function clientName(client: string | null, names: NameBook): string {
  return givenName(names, 'client', client) ?? client ?? 'unknown client'
}

/** The session as people named it, else so much of it that two can be told apart. */
export function sessionName(session: string, names: NameBook): string {
  return givenName(names, 'session', session) ?? session.slice(0, 8)
}

/** Who sent it, by the names that people gave: the client, and so much of its session that two can be told apart. */
export function senderName({ client, session }: Sender, names: NameBook): string {
  const name = clientName(client, names)
  return session === null ? name : `${name} · ${sessionName(session, names)}`
}

type Models = Pick<RequestIdentity, 'model' | 'model_asked'>

/** The model to name a request by: the one that answers, else the one that it asks for. */
export function modelName({ model, model_asked }: Models): string | null {
  return model ?? model_asked
}

/** The model that was asked for, where another one answers. */
export function otherModelAsked({ model, model_asked }: Models): string | null {
  return model === null || model === model_asked ? null : model_asked
}

/** "glm-5.3 for laptop-anna": what a button speaks of. */
export function requestName(
  request: Models & Pick<RequestIdentity, 'path' | 'client'>,
  names: NameBook,
): string {
  return `${modelName(request) ?? request.path ?? 'request'} for ${clientName(request.client, names)}`
}

/** How long a request may be silent before that is worth a word, and then a warning; seconds. */
export const SILENT_SECONDS = 10
export const VERY_SILENT_SECONDS = 120

export type Silence = 'none' | 'silent' | 'long'

export function silence(seconds: number | null): Silence {
  if (seconds === null || seconds < SILENT_SECONDS) return 'none'
  return seconds < VERY_SILENT_SECONDS ? 'silent' : 'long'
}

/** `7 of 13`, `5`: a learned limit, and how much of it is used if that is known. */
export function limitInWords({ name, value, used }: Pick<Limit, 'name' | 'value' | 'used'>): string {
  const most = name === 'in flight' ? formatCount(value) : formatCompact(value)
  return used === null ? most : `${formatCount(used)} of ${most}`
}

const GATES: Readonly<Record<string, string>> = { mcp: 'MCP tools', unknown: 'unknown model' }

/** What has places of its own: `glm-5.3`, `MCP tools`; `unknown model` is whose model nobody can tell yet. */
export function gateInWords(model: string): string {
  return GATES[model] ?? model
}

/** `glm-4.7`, `glm-4.6 and glm-4.7`. */
function gatesInWords(models: readonly string[]): string {
  const names = models.map(gateInWords)
  const last = names.pop() ?? ''
  return names.length === 0 ? last : `${names.join(', ')} and ${last}`
}

/** `shares 6 places with glm-4.7, 5 in use`; those of which it is only being tried, it may share them with. */
export function sharingInWords({ with: known, maybe_with, value, in_flight }: SharedPlaces): string {
  const places = value === null ? 'places' : plural(value, 'place', 'places')
  const tried = gatesInWords(maybe_with)
  const used = `${formatCount(in_flight)} in use`
  if (known.length === 0) return `may share ${places} with ${tried}, ${used}`
  const perhaps = tried === '' ? '' : `, perhaps also with ${tried}`
  return `shares ${places} with ${gatesInWords(known)}${perhaps}, ${used}`
}

const MEANINGS: Readonly<Record<string, string>> = {
  'in flight': 'all models together',
  'requests/s': 'may start, of all models',
}

/** What a limit is of, beside its number; null for one that this page does not know. */
export function limitMeaning(name: string): string | null {
  return MEANINGS[name] ?? null
}

/** `8 were refused`: the level that broke last; null while none is known. */
export function ceilingInWords({ name, ceiling }: Pick<Limit, 'name' | 'ceiling'>): string | null {
  if (ceiling === null) return null
  return `${name === 'in flight' ? formatCount(ceiling) : formatCompact(ceiling)} were refused`
}

/**
 * For each move of a limit of all models, in their order, the name of the model that it came from; null if it came from no
 * single one. A model's moves are in its own list too, with the same time and the same text: by that they are found.
 */
export function movers(
  { target, moves }: Pick<Limit, 'target' | 'moves'>,
  models: readonly Pick<ModelLimit, 'target' | 'model' | 'moves'>[],
): (string | null)[] {
  const left = models
    .filter((model) => model.target === target)
    .flatMap(({ model, moves: own }) => own.map((move) => ({ model, ...move })))
  return moves.map(({ at, text }) => {
    const index = left.findIndex((move) => move.at === at && move.text === text)
    return left.splice(index, index < 0 ? 0 : 1)[0]?.model ?? null
  })
}

const MOVE = /^(.*): (\d+) → (\d+) in flight$/
const CAUSES: readonly [RegExp, string][] = [
  [/^upstream (\d+)$/, 'refused with $1'],
  [/^probe$/, 'one more is tried'],
  [/^probe held$/, 'the try has held'],
]

/** A move of a limit: `3 → 2, refused with 1302`. What is not known stays as the proxy puts it. */
export function moveInWords(text: string): string {
  const [, cause, before, after] = MOVE.exec(text) ?? []
  if (cause === undefined || before === undefined || after === undefined) return text
  const [pattern, words] = CAUSES.find(([each]) => each.test(cause)) ?? [/.*/, cause]
  return `${before} → ${after}, ${cause.replace(pattern, words)}`
}

/** Whose limit it is: `proxy-1:9090`, `shared by 3 proxies`. */
export function limitOwner(
  { target, replicas }: Pick<Limit, 'target' | 'replicas'>,
  names: ReadonlyMap<number, string>,
): string {
  if (replicas > 1) return `shared by ${formatCount(replicas)} proxies`
  return names.get(target) ?? `proxy ${target}`
}

/** `1 proxy answers`, `2 of 3 proxies answer`; null while none is known. */
export function targetsInWords(targets: readonly TargetState[]): string | null {
  if (targets.length === 0) return null
  const heard = targets.filter(({ state }) => state === 'up' || state === 'late').length
  const all = plural(targets.length, 'proxy', 'proxies')
  if (heard === targets.length) return `${all} ${heard === 1 ? 'answers' : 'answer'}`
  return `${formatCount(heard)} of ${all} ${heard === 1 ? 'answers' : 'answer'}`
}
