import { Button } from '../../components/Button'
import { FilterChip } from '../../components/FilterChip'
import { useNames } from '../../hooks/useLive'
import { filterValueInWords } from '../../lib/names'
import { FILTER_NAMES, type FilterName, type TableQuery } from '../../lib/requestQuery'
import { ask } from './FilterBar'

/** Filters with a field of their own, which shows the value. They become chips only if they have several values. */
const CHOSEN_ELSEWHERE: readonly FilterName[] = ['client', 'model', 'path', 'lane', 'status', 'outcome']
const NOTHING = Object.fromEntries([...FILTER_NAMES, 'search', 'from', 'to'].map((name) => [name, null]))

/** Filters that have no field of their own, and a way to be rid of all. */
export function FilterChips({ query: { filters, search, range } }: { query: TableQuery }) {
  const names = useNames()
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
        <FilterChip
          key={`${name} ${value}`}
          name={name}
          value={filterValueInWords(names, name, value)}
          onRemove={() => ask({ [name]: filters[name].filter((each) => each !== value) })}
        />
      ))}
      <li>
        <Button size="small" onClick={() => ask(NOTHING)}>
          Clear all filters
        </Button>
      </li>
    </ul>
  )
}
