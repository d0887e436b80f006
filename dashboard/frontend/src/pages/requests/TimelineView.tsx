import type { FinishedRequest } from '../../api/requests'
import { plural } from '../../lib/numbers'
import { STRETCHES, type Stretch, timeline, timelineInWords } from '../../lib/timeline'
import { formatClock, formatDuration } from '../../lib/times'

const LOOKS: Record<Stretch, string> = {
  queued: 'bg-warning-fill',
  silent: 'hatched bg-sunken',
  answer: 'bg-accent',
}

/** What became of a request over its time: a bar for the eye, the moments as a list for everybody. */
export function TimelineView({ request }: { request: FinishedRequest }) {
  const line = timeline(request)
  const { stretches, moments, duration } = line
  const { started, attempts } = request
  return (
    <div>
      <div
        role="img"
        aria-label={timelineInWords(line)}
        className="flex h-4 overflow-hidden rounded border border-line-strong"
      >
        {stretches.map(({ kind, from, to }) => (
          <div
            key={kind}
            className={`min-w-0.5 ${LOOKS[kind]}`}
            style={{ flexGrow: duration > 0 ? (to - from) / duration : 1, flexBasis: 0 }}
          />
        ))}
      </div>
      <ul className="mt-1.5 flex flex-wrap gap-x-4 gap-y-1 text-xs text-soft" aria-hidden="true">
        {stretches.map(({ kind, from, to }) => (
          <li key={kind} className="flex items-center gap-1.5">
            <span className={`size-2.5 rounded-[2px] border border-line-strong ${LOOKS[kind]}`} />
            {formatDuration(to - from)} {STRETCHES[kind]}
          </li>
        ))}
      </ul>
      <ol className="mt-2 grid grid-cols-[auto_auto_minmax(0,1fr)] gap-x-4">
        {moments.map(({ name, at }) => (
          <li key={name} className="col-span-full grid grid-cols-subgrid">
            <span>{name}</span>
            <span className="text-right">{at === 0 ? '' : `+${formatDuration(at)}`}</span>
            <span className="text-soft">{formatClock(started + at, true)}</span>
          </li>
        ))}
      </ol>
      {attempts !== null && attempts > 1 && (
        <p className="mt-1.5 text-xs text-soft">
          {plural(attempts, 'attempt')}: the proxy sent it again before the client saw a byte. The first byte
          is that of the last one.
        </p>
      )}
    </div>
  )
}
