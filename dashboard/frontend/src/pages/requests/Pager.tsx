import { useRef } from 'react'
import { Button } from '../../components/Button'
import { setSearch } from '../../hooks/useLocation'
import type { TableQuery } from '../../lib/requestQuery'

/** To the rows that follow, and back. Each page has an address of its own. */
export function Pager({ query: { after }, next }: { query: TableQuery; next: string | null }) {
  const before = useRef(new Map<string, string | null>())

  function go(to: string | null) {
    setSearch({ after: to, open: null })
    document.getElementById('main')?.focus({ preventScroll: true })
    window.scrollTo(0, 0)
  }

  if (after === null && next === null) return null
  return (
    <nav aria-label="Pages of the table" className="mt-3 flex gap-2">
      <Button disabled={after === null} onClick={() => go(null)}>
        First page
      </Button>
      <Button disabled={after === null} onClick={() => go(before.current.get(after ?? '') ?? null)}>
        Page before
      </Button>
      <Button
        disabled={next === null}
        onClick={() => {
          if (next !== null) before.current.set(next, after)
          go(next)
        }}
      >
        Next page
      </Button>
    </nav>
  )
}
