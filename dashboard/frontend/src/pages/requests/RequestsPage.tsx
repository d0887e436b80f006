import { useMemo, useRef, useState } from 'react'
import { EmptyState } from '../../components/EmptyState'
import { ErrorState } from '../../components/ErrorState'
import { Loading } from '../../components/Loading'
import { setSearch, useLocation } from '../../hooks/useLocation'
import { isNewestFirst, parseTableQuery, type TableQuery } from '../../lib/requestQuery'
import { lostInWords } from '../../lib/requestTrouble'
import { FilterBar } from './FilterBar'
import { FilterChips } from './FilterChips'
import { FollowBar } from './FollowBar'
import { LinkedRequest } from './LinkedRequest'
import { Pager } from './Pager'
import { RequestTable } from './RequestTable'
import { useIsScrolled } from './useIsScrolled'
import { type RequestTableState, useRequestTable } from './useRequestTable'

/** Every finished request that is kept: filtered, sorted, and as they come. */
export function RequestsPage() {
  const { search } = useLocation()
  const query = useMemo(() => parseTableQuery(search), [search])
  const [isPaused, setIsPaused] = useState(false)
  const top = useRef<HTMLDivElement>(null)
  const isScrolled = useIsScrolled(top)
  const isHeld = isPaused || isScrolled || query.open !== null
  const table = useRequestTable(query, isHeld)

  function catchUp() {
    setIsPaused(false)
    setSearch({ open: null }, { replace: true })
    window.scrollTo(0, 0)
  }

  return (
    <>
      <h1 className="sr-only">Requests</h1>
      <div ref={top} />
      <FilterBar query={query} />
      <FilterChips query={query} />
      <FollowBar
        query={query}
        table={table}
        isLive={isNewestFirst(query)}
        isPaused={isPaused}
        isHeld={isHeld}
        onPause={setIsPaused}
        onCatchUp={catchUp}
      />
      {query.open !== null && table.page && !table.rows.some(({ id }) => id === query.open) && (
        <LinkedRequest id={query.open} />
      )}
      <Rows query={query} table={table} />
      <Lost table={table} />
    </>
  )
}

function Rows({ query, table }: { query: TableQuery; table: RequestTableState }) {
  const { page, error, rows, isOfBefore, reload } = table
  if (page === undefined) {
    return error ? (
      <ErrorState title="The requests could not be loaded" error={error} onRetry={reload} />
    ) : (
      <Loading label="Requests" className="h-96" />
    )
  }
  return (
    <div aria-busy={isOfBefore} className={isOfBefore ? 'opacity-60' : ''}>
      {error && <ErrorState title="The requests could not be loaded anew" error={error} onRetry={reload} />}
      {rows.length === 0 ? (
        <Nothing query={query} />
      ) : (
        <div className="rounded-xl border border-line bg-card px-3 py-2">
          <RequestTable query={query} rows={rows} />
        </div>
      )}
      <Pager query={query} next={page.next} />
    </div>
  )
}

function Nothing({ query }: { query: TableQuery }) {
  const isFiltered =
    query.search !== '' ||
    query.range !== null ||
    Object.values(query.filters).some((values) => values.length > 0)
  return isFiltered ? (
    <EmptyState title="No request matches">Take a filter away, or choose a longer time.</EmptyState>
  ) : (
    <EmptyState title="No request has finished yet">
      Each one appears here when it ends. Those that run are on the page Now.
    </EmptyState>
  )
}

function Lost({ table: { page } }: { table: RequestTableState }) {
  const text = page === undefined ? null : lostInWords(page.lost)
  return text === null ? null : <p className="mt-4 max-w-prose text-xs text-soft">{text}</p>
}
