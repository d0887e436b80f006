import { Button } from '../../components/Button'
import { FILTER_NAMES, type FilterName, type TableQuery } from '../../lib/requestQuery'
import { ask } from './FilterBar'

/** Those of which there is one are shown where they are chosen. */
const CHOSEN_ELSEWHERE: readonly FilterName[] = ['client', 'model', 'path', 'lane', 'status', 'outcome']
const NOTHING = Object.fromEntries([...FILTER_NAMES, 'search', 'from', 'to'].map((name) => [name, null]))

/** Filters that have no field of their own, and a way to be rid of all. */
export function FilterChips({ query: { filters, search, range } }: { query: TableQuery }) {
  const chips = FILTER_NAMES.flatMap((name) =>
    CHOSEN_ELSEWHERE.includes(name) && filters[name].length < 2
      ? []
      : filters[name].map((value) => ({ name, value })),
  )
  const isFiltered = search !== '' || range !== null || FILTER_NAMES.some((name) => filters[name].length > 0)
  if (!isFiltered) return null
  return (
    <ul aria-label="Filters" className="mb-2 flex flex-wrap items-center gap-2">
      {chips.map(({ name, value }) => (
        <li key={`${name} ${value}`} className="min-w-0">
          <button
            type="button"
            onClick={() => ask({ [name]: filters[name].filter((each) => each !== value) })}
            className="flex max-w-full items-center gap-1.5 rounded-full bg-accent-tint px-2.5 py-0.5 text-xs/5 text-accent"
          >
            <span className="sr-only">Take away the filter</span>
            <span className="truncate">
              {name}: {value}
            </span>
            <span aria-hidden="true">✕</span>
          </button>
        </li>
      ))}
      <li>
        <Button size="small" onClick={() => ask(NOTHING)}>
          Clear all filters
        </Button>
      </li>
    </ul>
  )
}
