import { Button } from '../../components/Button'
import { formatCount, plural } from '../../lib/numbers'
import { csvUrl, type TableQuery } from '../../lib/requestQuery'
import type { RequestTableState } from './useRequestTable'

interface FollowBarProps {
  query: TableQuery
  table: RequestTableState
  /** Whether new requests belong on top of this table. */
  isLive: boolean
  isPaused: boolean
  /** Whether new ones are held back, for whatever reason. */
  isHeld: boolean
  onPause: (isPaused: boolean) => void
  onCatchUp: () => void
}

/** How many there are, and whether new ones come in. Stays in sight while one reads further down. */
export function FollowBar({ query, table, isLive, isPaused, isHeld, onPause, onCatchUp }: FollowBarProps) {
  const { page, unseen, reload, isLoading } = table
  return (
    <div className="sticky top-0 z-[5] mb-2 flex min-h-10 flex-wrap items-center gap-x-3 gap-y-2 bg-page py-1.5">
      <p className="text-soft">{page === undefined ? '' : total(page.total, page.total_is_exact, table)}</p>
      {unseen > 0 && (
        <Button look="primary" size="small" onClick={onCatchUp}>
          {formatCount(unseen)} new
        </Button>
      )}
      <div className="ml-auto flex flex-wrap items-center gap-3">
        {isLive ? (
          <>
            {isHeld && !isPaused && (
              <span className="text-xs text-soft max-sm:hidden">
                {query.open === null ? 'New ones wait above' : 'New ones wait while a row is open'}
              </span>
            )}
            <FollowSwitch isOn={!isPaused} onChange={(isOn) => onPause(!isOn)} />
          </>
        ) : (
          <Button size="small" disabled={isLoading} onClick={reload}>
            Load anew
          </Button>
        )}
        <a
          href={csvUrl(query)}
          download
          title="All that match, at most 10,000, as a file for a spreadsheet"
          className="rounded-md border border-line-strong bg-card px-2 py-0.5 text-xs/5 font-medium hover:bg-sunken"
        >
          Save as CSV
        </a>
      </div>
    </div>
  )
}

function FollowSwitch({ isOn, onChange }: { isOn: boolean; onChange: (isOn: boolean) => void }) {
  return (
    <button
      type="button"
      role="switch"
      aria-checked={isOn}
      onClick={() => onChange(!isOn)}
      className="group flex items-center gap-2 rounded-md text-xs/5 font-medium"
    >
      <span className="flex h-4.5 w-8 items-center rounded-full border border-line-strong bg-sunken p-0.5 group-aria-checked:border-accent group-aria-checked:bg-accent">
        <span className="size-3 rounded-full bg-line-strong transition-transform group-aria-checked:translate-x-3.5 group-aria-checked:bg-on-accent" />
      </span>
      Follow live
    </button>
  )
}

/** How many requests match, the new ones on top of the table included. The service counts up to 10,000. */
function total(known: number, isExact: boolean, { page, rows }: RequestTableState): string {
  const onTop = Math.max(0, rows.length - (page?.requests.length ?? 0))
  return isExact ? plural(known + onTop, 'request') : `more than ${formatCount(known)} requests`
}
