const SHAPES = {
  ok: 'M8 12.5l2.7 2.7L16 9.5M12 2.5a9.5 9.5 0 1 1 0 19 9.5 9.5 0 0 1 0-19z',
  warning:
    'M12 9v4.5M12 17v.1M10.4 3.9 2.3 18a1.9 1.9 0 0 0 1.6 2.8h16.2a1.9 1.9 0 0 0 1.6-2.8L13.6 3.9a1.9 1.9 0 0 0-3.2 0z',
  critical: 'M12 7.5v5.5M12 16.5v.1M8 2.5h8l5.5 5.5v8L16 21.5H8L2.5 16V8z',
  unknown:
    'M9.2 9.3a2.8 2.8 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2M12 17v.1M12 2.5a9.5 9.5 0 1 1 0 19 9.5 9.5 0 0 1 0-19z',
  info: 'M12 11v5.5M12 7.5v.1M12 2.5a9.5 9.5 0 1 1 0 19 9.5 9.5 0 0 1 0-19z',
  light:
    'M12 7.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4',
  dark: 'M20.5 14.2A8.5 8.5 0 1 1 9.8 3.5a6.8 6.8 0 0 0 10.7 10.7z',
  offline:
    'M3 3l18 18M8.5 16.4a5 5 0 0 1 7 0M5 12.9a10 10 0 0 1 3.5-2.2M19 12.9a10 10 0 0 0-6.6-2.9M2 9.2a15 15 0 0 1 4-2.6M22 9.2A15 15 0 0 0 11 5M12 20v.1',
  open: 'M9 5l7 7-7 7',
  edit: 'M4 20h4L19.5 8.5a2.1 2.1 0 0 0 0-3l-1-1a2.1 2.1 0 0 0-3 0L4 16zM13.5 6.5l4 4',
} as const

export type IconName = keyof typeof SHAPES

/** Always beside a text that says the same: it is hidden from screen readers. */
export function Icon({ name, className = 'size-4' }: { name: IconName; className?: string }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" className={`shrink-0 ${className}`}>
      <path
        d={SHAPES[name]}
        fill="none"
        stroke="currentColor"
        strokeWidth="2"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  )
}
