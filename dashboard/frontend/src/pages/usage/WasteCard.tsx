import type { Breakdown } from '../../api/breakdown'
import { Icon } from '../../components/Icon'
import { Link } from '../../components/Link'
import { useNames } from '../../hooks/useLive'
import { formatMoney, plural } from '../../lib/numbers'
import type { TimeRange } from '../../lib/timeRange'
import { keyInWords, wasteSentences, worst } from '../../lib/usage'
import { requestsAddress, type UsageQuery } from '../../lib/usageQuery'

const MOST_NAMED = 3

interface WasteCardProps {
  data: Breakdown
  query: UsageQuery
  range: TimeRange
}

/** What was used for nothing, what that cost, and whose it was. */
export function WasteCard({ data: { by, rows, total }, query, range }: WasteCardProps) {
  const isClean = total.wasted.requests === 0
  const [first, ...rest] = wasteSentences(total)
  const now = Date.now() / 1000
  const names = useNames()
  return (
    <section
      aria-labelledby="wasted"
      className={`flex gap-3 rounded-xl p-4 sm:px-5 ${isClean ? 'bg-ok-tint' : 'bg-warning-tint'}`}
    >
      <Icon
        name={isClean ? 'ok' : 'warning'}
        className={`mt-0.5 size-5 ${isClean ? 'text-ok' : 'text-warning'}`}
      />
      <div className="min-w-0">
        <h2 id="wasted" className={`font-semibold ${isClean ? 'text-ok' : 'text-warning'}`}>
          {isClean ? 'Nothing was wasted' : `Wasted: ${formatMoney(total.wasted.cost_usd)}`}
        </h2>
        <p className="text-pretty">
          <span className="font-medium">{first}</span> {rest.join(' ')}
        </p>
        {!isClean && (
          <ul aria-label="Most of it" className="mt-2 flex flex-wrap gap-x-5 gap-y-1">
            {worst(rows, MOST_NAMED).map(({ key, wasted }) => {
              const address = requestsAddress(query, range, key, { isWasted: true })
              const name = keyInWords(by, key, now, names)
              return (
                <li key={String(key)} className="min-w-0 break-words">
                  {address === null ? (
                    name
                  ) : (
                    <Link href={address} className="font-medium underline underline-offset-2">
                      {name}
                    </Link>
                  )}
                  : {plural(wasted.requests, 'request')}, {formatMoney(wasted.cost_usd)}
                </li>
              )
            })}
          </ul>
        )}
      </div>
    </section>
  )
}
