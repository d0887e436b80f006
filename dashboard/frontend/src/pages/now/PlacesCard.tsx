import type { Now } from '../../api/now'
import { Card } from '../../components/Card'
import { Meter } from '../../components/Meter'
import { formatCount } from '../../lib/numbers'
import { type Place, type Places, placeList, places, placesInWords, placesShort } from '../../lib/places'

const MOST_DRAWN = 60
const LOOKS: Record<Place, string> = {
  running: 'bg-accent border-accent',
  waiting: 'bg-warning-fill border-warning-fill',
  free: 'border-line-strong',
  beyond: 'border-line hatched',
}

/** Workers: busy, of what the plan allows, of what there is. */
export function PlacesCard({ now }: { now: Now }) {
  const seen = places(now)
  const [running, most] = placesShort(seen)
  return (
    <Card title="Workers">
      <div className="flex flex-wrap items-center gap-x-6 gap-y-3">
        <p className="text-3xl/9 font-semibold">
          {running}
          <span className="text-xl font-normal text-soft"> / {most}</span>
          <span className="ml-2 text-sm font-normal text-soft">running</span>
        </p>
        <div className="min-w-48 flex-1">
          <PlacesMeter places={seen} />
        </div>
      </div>
      <Legend places={seen} />
    </Card>
  )
}

function PlacesMeter({ places: seen }: { places: Places }) {
  const list = placeList(seen)
  const share = seen.running === null || list.length === 0 ? null : seen.running / list.length
  if (list.length === 0 || list.length > MOST_DRAWN) {
    return <Meter label="Workers busy" text={placesInWords(seen)} share={share} />
  }
  return (
    <div
      role="meter"
      aria-label="Workers busy"
      aria-valuemin={0}
      aria-valuemax={list.length}
      aria-valuenow={seen.running ?? 0}
      aria-valuetext={placesInWords(seen)}
      className="flex h-8 gap-[3px]"
    >
      {list.map((place, index) => {
        const number = index + 1
        return (
          <div
            key={number}
            className={`min-w-0 flex-1 rounded-[3px] border transition-colors ${LOOKS[place]}`}
          />
        )
      })}
    </div>
  )
}

function Legend({ places: { running, waiting, limit, wall } }: { places: Places }) {
  const entries: [Place, string][] = [['running', `${formatCount(running)} running`]]
  if (waiting > 0) entries.push(['waiting', `${formatCount(waiting)} waiting for a turn`])
  if (limit !== null) entries.push(['free', `the plan allows ${formatCount(limit)} now`])
  if (wall !== null) entries.push(['beyond', `${formatCount(wall)} places in all (MAX_WORKERS)`])
  return (
    <ul className="mt-3 flex flex-wrap gap-x-4 gap-y-1 text-xs text-soft">
      {entries.map(([place, text]) => (
        <li key={place} className="flex items-center gap-1.5">
          <span className={`size-2.5 rounded-[2px] border ${LOOKS[place]}`} />
          {text}
        </li>
      ))}
    </ul>
  )
}
