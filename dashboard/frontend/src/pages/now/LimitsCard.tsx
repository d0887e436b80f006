import type { Limit, LimitMove, ModelLimit, TargetState } from '../../api/now'
import { Card } from '../../components/Card'
import { type Column, DataTable } from '../../components/DataTable'
import { EmptyState } from '../../components/EmptyState'
import { formatCount } from '../../lib/numbers'
import {
  ceilingInWords,
  gateInWords,
  limitInWords,
  limitMeaning,
  limitOwner,
  moveInWords,
  movers,
  sharingInWords,
} from '../../lib/requestWords'
import { formatClock, formatMoment } from '../../lib/times'

const LATEST = 3
const LATEST_OF_A_MODEL = 2

const COLUMNS: readonly Column<ModelLimit>[] = [
  {
    key: 'model',
    head: 'Model',
    cell: ({ model, shares }) => (
      <>
        <span className="whitespace-nowrap">{gateInWords(model)}</span>
        {shares !== null && (
          <span className="block text-xs text-soft @lg:min-w-56">{sharingInWords(shares)}</span>
        )}
      </>
    ),
    className: 'align-top @max-md:basis-full',
    isPlain: true,
  },
  {
    key: 'in-flight',
    head: 'In flight',
    align: 'end',
    cell: ({ in_flight }) => formatCount(in_flight),
    className: 'align-top',
  },
  {
    key: 'limit',
    head: 'Limit',
    align: 'end',
    cell: ({ value }) => formatCount(value),
    className: 'align-top font-semibold',
  },
  {
    key: 'waiting',
    head: 'Waiting',
    align: 'end',
    cell: ({ waiting }) => formatCount(waiting),
    className: 'align-top',
  },
  {
    key: 'moves',
    head: 'Last moves',
    cell: ({ moves }) =>
      moves.length === 0 ? (
        <span className="text-soft">has not moved yet</span>
      ) : (
        <Moves moves={moves.slice(0, LATEST_OF_A_MODEL)} />
      ),
    className: 'w-full align-top @max-md:basis-full',
    isPlain: true,
  },
]

interface LimitsCardProps {
  limits: readonly Limit[]
  models: readonly ModelLimit[]
  targets: readonly TargetState[]
}

/** What the proxies have learned that the plan allows, of each model and in all, and why it last changed. */
export function LimitsCard({ limits, models, targets }: LimitsCardProps) {
  const names = new Map(targets.map(({ id, name }) => [id, name]))
  const isOne = targets.length === 1
  const owner: Column<ModelLimit> = {
    key: 'owner',
    head: 'Proxy',
    cell: (limit) => limitOwner(limit, names),
    className: 'align-top whitespace-nowrap @max-md:basis-full',
    isPlain: true,
  }
  return (
    <Card title="Learned limits">
      {limits.length === 0 ? (
        <EmptyState title="Nothing learned">
          No proxy tells of limits: pacing is off, or none has answered.
        </EmptyState>
      ) : (
        <>
          {models.length > 0 && (
            <div className="mb-4">
              <DataTable
                caption="Places by model"
                columns={isOne ? COLUMNS : [owner, ...COLUMNS]}
                rows={models}
                rowKey={({ target, model }) => `${target} ${model}`}
                folding="@max-md:folded"
              />
              {models.some(({ model }) => model === 'unknown') && (
                <p className="mt-1 text-xs text-soft">
                  {gateInWords('unknown')}: requests that name no model, or one that nothing has answered for
                  yet
                </p>
              )}
            </div>
          )}
          <ul className="grid gap-x-8 gap-y-4 sm:grid-cols-2">
            {limits.map((limit) => (
              <LimitItem
                key={`${limit.target} ${limit.name}`}
                limit={limit}
                models={models}
                of={isOne ? null : limitOwner(limit, names)}
              />
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

interface LimitItemProps {
  limit: Limit
  models: readonly ModelLimit[]
  of: string | null
}

/** A limit of all models together: its number, what the number means, and its moves with the model that each came from. */
function LimitItem({ limit, models, of }: LimitItemProps) {
  const owners = movers(limit, models)
  const ofAll = models.length > 0 && limit.name === 'in flight' ? 'all models' : null
  const moves = limit.moves.map((move, index) => ({ ...move, model: owners[index] ?? ofAll }))
  const asides = [limitMeaning(limit.name), ceilingInWords(limit), of]
  return (
    <li className="min-w-0">
      <p className="flex flex-wrap items-baseline gap-x-2">
        <span className="text-lg font-semibold">{limitInWords(limit)}</span>
        <span>{limit.name}</span>
        <span className="text-soft">{asides.filter((each) => each !== null).join(' · ')}</span>
      </p>
      {moves.length === 0 ? (
        <p className="text-xs text-soft">has not moved yet</p>
      ) : (
        <Moves moves={moves.slice(0, LATEST)} />
      )}
      {moves.length > LATEST && (
        <details className="text-xs text-soft">
          <summary className="w-fit rounded">{moves.length - LATEST} earlier</summary>
          <Moves moves={moves.slice(LATEST)} />
        </details>
      )}
    </li>
  )
}

interface MovesProps {
  /** `model` is the model that a move came from, if it is to be shown. */
  moves: readonly (LimitMove & { model?: string | null })[]
}

function Moves({ moves }: MovesProps) {
  return (
    <ol className="text-xs/5 text-soft">
      {moves.map(({ at, text, model = null }) => (
        <li key={`${at} ${text} ${model}`} className="flex gap-2">
          <time dateTime={new Date(at * 1000).toISOString()} title={formatMoment(at)}>
            {formatClock(at, true)}
          </time>
          <span className="min-w-0 break-words text-text">
            {model !== null && `${gateInWords(model)}: `}
            {moveInWords(text)}
          </span>
        </li>
      ))}
    </ol>
  )
}
