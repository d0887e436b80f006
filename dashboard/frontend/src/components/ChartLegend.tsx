import type { Mark, SeriesChart } from '../api/series'
import type { ChartData } from '../lib/chart'
import { UNKNOWN } from '../lib/numbers'
import { formatMoment } from '../lib/times'

interface ChartLegendProps {
  kind: SeriesChart['kind']
  data: ChartData
  /** The step under the crosshair. */
  cursor: number | null
  hidden: ReadonlySet<string>
  onToggle: (label: string) => void
  format: (value: number) => string
  marks: readonly Mark[][]
}

/** What the numbers are while there is no crosshair. */
const WHOLE: Record<SeriesChart['kind'], string> = {
  sum: 'Totals of the time shown',
  quantile: 'Over all of the time shown',
  mean: 'Latest',
}

/** What each line is, with its value under the crosshair, or else its total; a line can be hidden. */
export function ChartLegend({ kind, data, cursor, hidden, onToggle, format, marks }: ChartLegendProps) {
  const at = cursor === null ? undefined : data.times[cursor]
  return (
    <figcaption className="mt-1 text-xs">
      <ul className="flex flex-wrap gap-x-3 gap-y-1">
        {data.lines.map(({ label, values, total, colour }) => {
          const value = cursor === null ? (total ?? lastKnown(values)) : (values[cursor] ?? null)
          return (
            <li key={label}>
              <button
                type="button"
                aria-pressed={!hidden.has(label)}
                title={hidden.has(label) ? `Show ${label}` : `Hide ${label}`}
                onClick={() => onToggle(label)}
                className="flex items-center gap-1.5 rounded aria-[pressed=false]:line-through"
              >
                <span className="size-2.5 rounded-sm" style={{ background: `var(${colour})` }} />
                <span className="text-soft">{label}</span>
                <span className="min-w-8 font-medium">{value === null ? UNKNOWN : format(value)}</span>
              </button>
            </li>
          )
        })}
      </ul>
      <p className="mt-1 min-h-4 text-soft">
        {at === undefined ? WHOLE[kind] : legendTime(at, data, cursor, marks)}
      </p>
    </figcaption>
  )
}

function lastKnown(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null
}

function legendTime(
  at: number,
  { times }: ChartData,
  cursor: number | null,
  marks: readonly Mark[][],
): string {
  const step = (times[1] ?? 0) - (times[0] ?? 0)
  const near = marks
    .filter(([first]) => first && cursor !== null && Math.abs(first.at - at) <= step * 1.5)
    .flat()
  return [formatMoment(at), ...near.map(({ text }) => text)].join(' · ')
}
