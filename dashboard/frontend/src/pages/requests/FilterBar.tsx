import { type ReactNode, useEffect, useRef, useState } from 'react'
import type { BreakdownBy } from '../../api/breakdown'
import { Button } from '../../components/Button'
import { useBreakdown } from '../../hooks/useApi'
import { useNames } from '../../hooks/useLive'
import { setSearch } from '../../hooks/useLocation'
import { nameAndKey } from '../../lib/names'
import { type FilterName, OUTCOMES, SORT_WORDS, SORTS, type TableQuery } from '../../lib/requestQuery'
import { OUTCOME_WORDS } from '../../lib/requestTrouble'
import { laneName } from '../../lib/requestWords'
import { rangeQuery, type TimeRange } from '../../lib/timeRange'
import { formatWhen } from '../../lib/times'

const TYPING_MS = 300
const STATUSES = ['2xx', '4xx', '429', '5xx']
const LANES = ['main', 'subagent', 'background']
const TIMES: readonly [string, string][] = [
  ['', 'any time'],
  ['-15m', 'last 15 minutes'],
  ['-1h', 'last hour'],
  ['-6h', 'last 6 hours'],
  ['-1d', 'last 24 hours'],
  ['-7d', 'last 7 days'],
]

/** Chooses what the table shows; everything stands in the address. */
export function FilterBar({ query }: { query: TableQuery }) {
  const [isOpen, setIsOpen] = useState(false)
  return (
    <search className="mb-3 flex flex-wrap items-end gap-2">
      <SearchField value={query.search} />
      <Button
        className="h-8 py-0 sm:hidden"
        aria-expanded={isOpen}
        aria-controls={FIELDS}
        onClick={() => setIsOpen(!isOpen)}
      >
        Filters
      </Button>
      <div
        id={FIELDS}
        className={`grid w-full grid-cols-2 gap-2 sm:contents ${isOpen ? '' : 'max-sm:hidden'}`}
      >
        <Fields query={query} />
      </div>
    </search>
  )
}

const FIELDS = 'filters'

function Fields({ query }: { query: TableQuery }) {
  const names = useNames()
  return (
    <>
      <Known
        query={query}
        name="client"
        label="Client"
        all="all clients"
        word={(value) => nameAndKey(names, 'client', value)}
      />
      <Known query={query} name="model" label="Model" all="all models" />
      <Known query={query} name="path" label="Path" all="all paths" />
      <Choice query={query} name="lane" label="Lane" all="all lanes" values={LANES} word={laneName} />
      <Choice query={query} name="status" label="Status" all="every status" values={STATUSES} />
      <Choice
        query={query}
        name="outcome"
        label="Outcome"
        all="every outcome"
        values={OUTCOMES}
        word={(value) => OUTCOME_WORDS[value as keyof typeof OUTCOME_WORDS] ?? value}
      />
      <TimeChoice range={query.range} />
      <SortChoice query={query} />
    </>
  )
}

/** Changes what the table shows, from its first page on and with no row open. */
export function ask(changes: Record<string, string | readonly string[] | null>, options = {}): void {
  setSearch({ ...changes, after: null, open: null }, options)
}

/** Searches for what is typed, a moment after the last key. */
function SearchField({ value }: { value: string }) {
  const [text, setText] = useState(value)
  const asked = useRef(value)
  useEffect(() => {
    if (value === asked.current) return
    asked.current = value
    setText(value)
  }, [value])
  useEffect(() => {
    if (text.trim() === asked.current) return
    const timer = setTimeout(() => {
      asked.current = text.trim()
      ask({ search: asked.current || null }, { replace: true })
    }, TYPING_MS)
    return () => clearTimeout(timer)
  }, [text])
  return (
    <Field label="Search" className="max-sm:flex-1">
      <input
        type="search"
        value={text}
        maxLength={300}
        placeholder="id, client, name, error …"
        onChange={(event) => setText(event.target.value)}
        className={`${LOOK} w-full sm:w-56`}
      />
    </Field>
  )
}

interface ChoiceProps {
  query: TableQuery
  name: FilterName
  label: string
  all: string
  values: readonly string[]
  word?: (value: string) => string
}

/** One value or all; where the address has several, they are shown as chips and here as a number. */
function Choice({ query, name, label, all, values, word = (value) => value }: ChoiceProps) {
  const chosen = query.filters[name]
  const offered = [...new Set([...values, ...(chosen.length === 1 ? chosen : [])])]
  return (
    <Field label={label}>
      <select
        value={chosen.length > 1 ? SEVERAL : (chosen[0] ?? '')}
        onChange={(event) => ask({ [name]: event.target.value || null })}
        className={`${LOOK} w-full sm:max-w-44`}
      >
        <option value="">{all}</option>
        {chosen.length > 1 && (
          <option value={SEVERAL} disabled>
            {chosen.length} chosen
          </option>
        )}
        {offered.map((value) => (
          <option key={value} value={value}>
            {word(value)}
          </option>
        ))}
      </select>
    </Field>
  )
}

const SEVERAL = '\u0000'
const REFRESH_SECONDS = 60

/** Offers what the last week has seen. */
function Known(props: Omit<ChoiceProps, 'values' | 'name'> & { name: FilterName & BreakdownBy }) {
  const { data } = useBreakdown({ by: props.name, from: '-7d' }, { every: REFRESH_SECONDS })
  const values = data?.rows.flatMap(({ key }) => (key === null ? [] : [String(key)])) ?? []
  return <Choice {...props} values={values} />
}

function TimeChoice({ range }: { range: TimeRange | null }) {
  const value = range === null ? '' : range.kind === 'last' ? (rangeQuery(range).from ?? '') : SEVERAL
  const now = Date.now() / 1000
  return (
    <Field label="Time">
      <select
        value={value}
        onChange={(event) => ask({ from: event.target.value || null, to: null })}
        className={`${LOOK} w-full`}
      >
        {range?.kind === 'between' && (
          <option value={SEVERAL} disabled>
            {formatWhen(range.from, now)} – {formatWhen(range.to, now)}
          </option>
        )}
        {TIMES.map(([from, words]) => (
          <option key={from} value={from}>
            {words}
          </option>
        ))}
        {range?.kind === 'last' && !TIMES.some(([from]) => from === value) && (
          <option value={value}>last {value.slice(1)}</option>
        )}
      </select>
    </Field>
  )
}

function SortChoice({ query: { sort, order } }: { query: TableQuery }) {
  const isUp = order === 'asc'
  return (
    <Field label="Sorted by" className="max-sm:col-span-2">
      <span className="flex gap-1">
        <select
          value={sort}
          aria-label="Sorted by"
          onChange={(event) =>
            ask({ sort: event.target.value === 'ended' ? null : event.target.value, order: null })
          }
          className={`${LOOK} w-full`}
        >
          {SORTS.map((name) => (
            <option key={name} value={name}>
              {SORT_WORDS[name]}
            </option>
          ))}
        </select>
        <Button
          className="h-8 py-0"
          aria-label={isUp ? 'Show the largest or newest first' : 'Show the smallest or oldest first'}
          onClick={() => ask({ order: isUp ? null : 'asc' })}
        >
          {isUp ? '↑' : '↓'}
        </Button>
      </span>
    </Field>
  )
}

const LOOK = 'h-8 min-w-0 rounded-md border border-line-strong bg-card px-2'

function Field({
  label,
  className = '',
  children,
}: {
  label: string
  className?: string
  children: ReactNode
}) {
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the control is what is handed in
    <label className={`grid min-w-0 gap-0.5 ${className}`}>
      <span className="text-xs text-soft">{label}</span>
      {children}
    </label>
  )
}
