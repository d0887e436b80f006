import type { Tone } from '../lib/quota'

const FILLS: Record<Tone, string> = {
  ok: 'bg-accent',
  warning: 'bg-warning-fill',
  critical: 'bg-critical',
  neutral: 'bg-line-strong',
}

interface MeterProps {
  label: string
  /** What a screen reader says of it. */
  text: string
  /** 0 to 1; null if nobody knows. */
  share: number | null
  tone?: Tone
  /** A mark at this share, as how much of the time is over. */
  mark?: number | null
}

/** How much of something is used. */
export function Meter({ label, text, share, tone = 'ok', mark = null }: MeterProps) {
  const width = Math.min(1, Math.max(0, share ?? 0)) * 100
  return (
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(width)}
      aria-valuetext={text}
      className={`relative h-2.5 rounded-full bg-sunken ${share === null ? 'hatched' : ''}`}
    >
      <div
        className={`h-full rounded-full ${FILLS[tone]} transition-[width] duration-500`}
        style={{ width: `${width}%`, minWidth: width > 0 ? '0.625rem' : 0 }}
      />
      {mark !== null && (
        <div
          className="absolute -inset-y-1 w-0.5 rounded bg-text"
          style={{ left: `calc(${mark * 100}% - 1px)` }}
        />
      )}
    </div>
  )
}
