import type { ReactNode } from 'react'
import type { FinishedRequest } from '../../api/requests'
import { Badge } from '../../components/Badge'
import { NameButton } from '../../components/NameButton'
import { useLive, useNames } from '../../hooks/useLive'
import { givenName } from '../../lib/names'
import { formatBytes, formatCompact, formatCount, formatMoney, plural } from '../../lib/numbers'
import { areTokensKnown, OUTCOME_WORDS, requestTrouble, tokensAre } from '../../lib/requestTrouble'
import { laneName } from '../../lib/requestWords'
import { formatMoment } from '../../lib/times'
import { CopyButton } from './CopyButton'
import { ask } from './FilterBar'
import { TimelineView } from './TimelineView'

/** All that is known of a finished request: never a word of what it said. */
export function RequestDetail({ request }: { request: FinishedRequest }) {
  return (
    <div className="grid cursor-auto gap-x-8 gap-y-5 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      <div className="grid min-w-0 content-start gap-4">
        <Ending request={request} />
        <TimelineView request={request} />
        <Tokens request={request} />
      </div>
      <Identity request={request} />
    </div>
  )
}

function Ending({ request }: { request: FinishedRequest }) {
  const { status, outcome, ended } = request
  const alerts = useLive((state) => state.now?.alerts)
  const trouble = requestTrouble(request, alerts)
  return (
    <div>
      <p>
        <span className="font-medium">
          {status === null ? '' : `${status} `}
          {OUTCOME_WORDS[outcome]}
        </span>{' '}
        <span className="text-soft">{formatMoment(ended)}</span>
      </p>
      {trouble !== null && (
        <p className="mt-1 text-pretty">
          <span className={`font-medium ${outcome === 'failed' ? 'text-critical' : ''}`}>
            {trouble.title}.
          </span>{' '}
          {trouble.advice}
        </p>
      )}
    </div>
  )
}

function Tokens({ request }: { request: FinishedRequest }) {
  const { tokens, cost_usd, credits, request_bytes, response_bytes } = request
  const are = tokensAre(request)
  const isEstimated = request.tokens_are === 'estimated'
  const count = (value: number | null) => (areTokensKnown(request) ? formatCount(value) : '–')
  return (
    <div>
      <dl className="grid grid-cols-[repeat(auto-fill,minmax(7.5rem,1fr))] gap-x-4 gap-y-2">
        <Figure name="Input tokens">{count(tokens.input)}</Figure>
        <Figure name="From the cache">{count(tokens.cache_read)}</Figure>
        {tokens.cache_write ? <Figure name="Into the cache">{count(tokens.cache_write)}</Figure> : null}
        <Figure name="Output tokens">
          {count(tokens.output)}
          {tokens.reasoning ? (
            <span className="text-soft"> ({formatCount(tokens.reasoning)} reasoning)</span>
          ) : null}
        </Figure>
        <Figure name="List price">{formatMoney(cost_usd)}</Figure>
        <Figure name="Plan credits">{formatCompact(credits)}</Figure>
        <Figure name="Request">{formatBytes(request_bytes)}</Figure>
        <Figure name="Answer">{formatBytes(response_bytes)}</Figure>
      </dl>
      {are !== null && (
        <p className="mt-2 flex flex-wrap items-center gap-2 text-xs text-soft">
          {isEstimated && <Badge tone="warning">estimated</Badge>}
          <span>{are}</span>
        </p>
      )}
    </div>
  )
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt className="text-xs text-soft">{name}</dt>
      <dd className="font-medium">{children}</dd>
    </div>
  )
}

/** Who and what it was. What can be a filter is one, what is an id can be copied. */
function Identity({ request }: { request: FinishedRequest }) {
  const { client, program, session, agent, lane, model, model_asked, method, path, attempts, target } =
    request
  const names = useNames()
  return (
    <dl className="grid min-w-0 content-start grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1.5">
      <Row name="Client" filter="client" value={client} given={givenName(names, 'client', client)}>
        <NameButton client={client} />
      </Row>
      <Row name="Program" filter="program" value={program} />
      <Row name="Session" filter="session" value={session} given={givenName(names, 'session', session)} isId>
        <NameButton session={session} />
      </Row>
      <Row name="Agent" filter="agent" value={agent} />
      <Row name="Lane" filter="lane" value={lane} shown={laneName(lane)} />
      <Row name="Model" filter="model" value={model} />
      <Row name="Asked for" value={model_asked === model ? null : model_asked} />
      <Row name="Path" filter="path" value={path} shown={[method, path].filter(Boolean).join(' ')} />
      <Row name="Attempts" value={attempts === null ? null : plural(attempts, 'attempt')} />
      <Row name="Request id" value={request.request_id} isId />
      <Row name="Proxy" filter="target" value={String(target)} shown={`target ${target}`} />
    </dl>
  )
}

interface RowProps {
  name: string
  /** The parameter of the address that shows only requests with this value. */
  filter?: string
  value: string | null
  shown?: string
  /** What people call it. */
  given?: string | null
  isId?: boolean
  children?: ReactNode
}

function Row({ name, filter, value, shown, given = null, isId = false, children }: RowProps) {
  if (value === null) return null
  return (
    <>
      <dt className="text-soft">{name}</dt>
      <dd className="flex min-w-0 flex-wrap items-baseline gap-x-2">
        {given !== null && <span className="w-full font-medium break-words">{given}</span>}
        <span className={`break-all ${isId ? 'font-mono text-xs/5' : ''}`}>{shown ?? value}</span>
        {isId && <CopyButton name={name} value={value} />}
        {children}
        {filter !== undefined && (
          <button
            type="button"
            aria-label={`Only this ${name.toLowerCase()}: ${value}`}
            onClick={() => ask({ [filter]: value })}
            className="shrink-0 rounded text-xs/5 text-accent underline-offset-2 hover:underline"
          >
            only this
          </button>
        )}
      </dd>
    </>
  )
}
