import type { BreakdownBy } from '../../api/breakdown'
import { setSearch } from '../../hooks/useLocation'
import { SPLITS, type UsageQuery } from '../../lib/usageQuery'

/** Chooses what the usage is split by. */
export function SplitPicker({ by }: { by: BreakdownBy }) {
  return (
    <fieldset className="flex max-w-full flex-wrap overflow-hidden rounded-md border border-line-strong bg-card">
      <legend className="sr-only">Split by</legend>
      {SPLITS.map((split) => (
        <button
          key={split.by}
          type="button"
          aria-pressed={split.by === by}
          onClick={() => setSearch({ by: split.by, sort: null, order: null })}
          className={`px-2.5 py-1 font-medium -outline-offset-2 ${split.by === by ? 'bg-accent text-on-accent' : 'hover:bg-sunken'}`}
        >
          {split.name}
        </button>
      ))}
    </fieldset>
  )
}

/** What the usage is narrowed down to; each can be taken away. */
export function UsageFilters({ query: { filters } }: { query: UsageQuery }) {
  if (filters.length === 0) return null
  return (
    <ul aria-label="Filters" className="flex min-w-0 flex-wrap items-center gap-2">
      {filters.map(({ name, value }) => (
        <li key={`${name} ${value}`} className="min-w-0">
          <button
            type="button"
            aria-label={`Take away the filter ${name} ${value}`}
            onClick={() =>
              setSearch({
                [name]: filters
                  .filter((each) => each.name === name && each.value !== value)
                  .map((each) => each.value),
              })
            }
            className="flex max-w-full items-center gap-1.5 rounded-full bg-accent-tint px-2.5 py-0.5 text-xs/5 text-accent"
          >
            <span className="truncate">
              {name}: {value}
            </span>
            <span aria-hidden="true">✕</span>
          </button>
        </li>
      ))}
    </ul>
  )
}
