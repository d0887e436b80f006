import { type FormEvent, useId, useState } from 'react'
import { enclosing, lastInWords, shifted, toInput, typedRange, zoomedOut } from '../lib/rangeSteps'
import type { TimeRange } from '../lib/timeRange'
import { Button } from './Button'

interface RangeStepsProps {
  range: TimeRange
  onChange: (range: TimeRange) => void
}

/** From the time shown to another: earlier, later, wider, back to what goes on, or any that is typed. */
export function RangeSteps({ range, onChange }: RangeStepsProps) {
  const [isTyping, setTyping] = useState(false)
  const form = useId()
  const now = Date.now() / 1000
  const isZoomed = range.kind === 'between'
  const back = enclosing(range, now)
  return (
    <>
      <div className="flex flex-wrap items-center gap-2">
        <Button onClick={() => onChange(shifted(range, -1, Date.now() / 1000))} aria-label="Earlier">
          ←
        </Button>
        <Button
          onClick={() => onChange(shifted(range, 1, Date.now() / 1000))}
          aria-label="Later"
          disabled={!isZoomed}
        >
          →
        </Button>
        <Button onClick={() => onChange(zoomedOut(range, Date.now() / 1000))}>Zoom out</Button>
        <Button aria-expanded={isTyping} aria-controls={form} onClick={() => setTyping(!isTyping)}>
          From … to
        </Button>
        {isZoomed && back.kind === 'last' && (
          <Button look="primary" onClick={() => onChange(back)}>
            Back to the {lastInWords(back.seconds)}
          </Button>
        )}
      </div>
      <div id={form} className={isTyping ? 'order-last w-full' : 'hidden'}>
        {isTyping && (
          <TypedRange
            range={range}
            onChange={(next) => {
              setTyping(false)
              onChange(next)
            }}
          />
        )}
      </div>
    </>
  )
}

const FIELD = 'rounded-md border border-line-strong bg-card px-2 py-1'

function TypedRange({ range, onChange }: RangeStepsProps) {
  const now = Date.now() / 1000
  const [from, setFrom] = useState(toInput(range.kind === 'between' ? range.from : now - range.seconds))
  const [to, setTo] = useState(toInput(range.kind === 'between' ? range.to : now))
  const [problem, setProblem] = useState('')

  function apply(event: FormEvent) {
    event.preventDefault()
    const typed = typedRange(from, to, Date.now() / 1000)
    if (typeof typed === 'string') setProblem(typed)
    else onChange(typed)
  }

  return (
    <form onSubmit={apply} className="flex flex-wrap items-center gap-x-4 gap-y-2">
      <label className="flex items-center gap-2">
        From
        <input
          type="datetime-local"
          className={FIELD}
          value={from}
          onChange={(event) => setFrom(event.target.value)}
        />
      </label>
      <label className="flex items-center gap-2">
        to
        <input
          type="datetime-local"
          className={FIELD}
          value={to}
          onChange={(event) => setTo(event.target.value)}
        />
      </label>
      <Button type="submit">Show</Button>
      <p role="alert" className="text-critical empty:hidden">
        {problem}
      </p>
    </form>
  )
}
