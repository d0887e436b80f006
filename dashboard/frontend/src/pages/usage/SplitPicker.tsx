import type { BreakdownBy } from '../../api/breakdown'
import { FilterChip } from '../../components/FilterChip'
import { useNames } from '../../hooks/useLive'
import { setSearch } from '../../hooks/useLocation'
import { filterValueInWords } from '../../lib/names'
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
  const names = useNames()
  if (filters.length === 0) return null
  return (
    <ul aria-label="Filters" className="flex min-w-0 flex-wrap items-center gap-2">
      {filters.map(({ name, value }) => (
        <FilterChip
          key={`${name} ${value}`}
          name={name}
          value={filterValueInWords(names, name, value)}
          onRemove={() =>
            setSearch({
              [name]: filters
                .filter((each) => each.name === name && each.value !== value)
                .map((each) => each.value),
            })
          }
        />
      ))}
    </ul>
  )
}
