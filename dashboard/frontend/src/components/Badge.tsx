import type { ReactNode } from 'react'
import type { Tone } from '../lib/quota'

const LOOKS: Record<Tone | 'accent', string> = {
  ok: 'bg-ok-tint text-ok',
  warning: 'bg-warning-tint text-warning',
  critical: 'bg-critical-tint text-critical',
  neutral: 'bg-sunken text-soft',
  accent: 'bg-accent-tint text-accent',
}

/** A word or two; the colour only repeats what they say. */
export function Badge({ tone = 'neutral', children }: { tone?: Tone | 'accent'; children: ReactNode }) {
  return (
    <span className={`inline-block whitespace-nowrap rounded px-1.5 text-xs/5 font-medium ${LOOKS[tone]}`}>
      {children}
    </span>
  )
}
