import type { Mark } from '../../api/series'
import { Badge } from '../../components/Badge'
import { Button } from '../../components/Button'
import { markWord } from '../../lib/historyCharts'
import { plural } from '../../lib/numbers'
import type { Tone } from '../../lib/quota'
import { around } from '../../lib/rangeSteps'
import type { TimeRange } from '../../lib/timeRange'
import { formatMoment, formatWhen } from '../../lib/times'

const TONES: Partial<Record<Mark['kind'], Tone>> = {
  lost: 'critical',
  gate_closed: 'critical',
  back: 'ok',
  gate_opened: 'ok',
}
const AROUND_SECONDS = 900

interface MarkListProps {
  /** Newest first. */
  marks: readonly Mark[]
  onRange: (range: TimeRange) => void
}

/** The dashed lines of the charts, as a list that opens. */
export function MarkList({ marks, onRange }: MarkListProps) {
  const [newest] = marks
  const now = Date.now() / 1000
  if (newest === undefined) return null
  return (
    <details className="group rounded-xl border border-line bg-card px-4 py-2 sm:px-5">
      <summary className="rounded py-1">
        <span className="font-semibold">{plural(marks.length, 'event')}</span>{' '}
        <span className="text-soft group-open:hidden">
          the last one {formatWhen(newest.at, now)}: {newest.text}
        </span>
        <span className="hidden text-soft group-open:inline">the dashed lines in the charts</span>
      </summary>
      <ul className="my-2 grid max-h-80 gap-1 overflow-y-auto">
        {marks.map((mark) => (
          <li
            key={`${mark.at} ${mark.kind} ${mark.target} ${mark.text}`}
            className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5"
          >
            <time
              dateTime={new Date(mark.at * 1000).toISOString()}
              title={formatMoment(mark.at)}
              className="w-24 text-soft"
            >
              {formatWhen(mark.at, now)}
            </time>
            <span className="w-24">
              <Badge tone={TONES[mark.kind] ?? 'neutral'}>{markWord(mark.kind)}</Badge>
            </span>
            <span className="min-w-0 flex-1 break-words">{mark.text}</span>
            <Button
              size="small"
              aria-label={`Look closer at ${formatMoment(mark.at)}: ${mark.text}`}
              onClick={() => onRange(around(mark.at, AROUND_SECONDS, Date.now() / 1000))}
            >
              Look closer
            </Button>
          </li>
        ))}
      </ul>
    </details>
  )
}
