import { useClock } from '../hooks/useClock'
import { PRESETS, type TimeRange } from '../lib/timeRange'
import { formatWhen } from '../lib/times'

interface RangePickerProps {
  range: TimeRange
  onChange: (range: TimeRange) => void
}

/** Chooses the time that a page shows. A range between two moments, from a brush, is shown beside the presets. */
export function RangePicker({ range, onChange }: RangePickerProps) {
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
      <fieldset className="flex overflow-hidden rounded-md border border-line-strong bg-card">
        <legend className="sr-only">Time shown</legend>
        {PRESETS.map(({ label, spoken, seconds }) => {
          const isChosen = range.kind === 'last' && range.seconds === seconds
          return (
            <button
              key={label}
              type="button"
              aria-pressed={isChosen}
              aria-label={`${label}: ${spoken}`}
              onClick={() => onChange({ kind: 'last', seconds })}
              className={`px-2.5 py-1 font-medium -outline-offset-2 ${isChosen ? 'bg-accent text-on-accent' : 'hover:bg-sunken'}`}
            >
              {label}
            </button>
          )
        })}
      </fieldset>
      {range.kind === 'between' && <Between from={range.from} to={range.to} />}
    </div>
  )
}

function Between({ from, to }: { from: number; to: number }) {
  const now = useClock()
  return (
    <span className="text-soft">
      {formatWhen(from, now)} – {formatWhen(to, now)}
    </span>
  )
}
