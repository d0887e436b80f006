import { type ReactNode, useId } from 'react'

interface CardProps {
  title: string
  /** At the right of the title: a number, a badge, a button. */
  aside?: ReactNode
  children: ReactNode
  className?: string
}

/** A part of a page with a heading of its own. */
export function Card({ title, aside, children, className = '' }: CardProps) {
  const heading = useId()
  return (
    <section
      aria-labelledby={heading}
      className={`min-w-0 rounded-xl border border-line bg-card p-4 sm:px-5 ${className}`}
    >
      <div className="mb-3 flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
        <h2 id={heading} className="font-semibold">
          {title}
        </h2>
        {aside !== undefined && <div className="text-soft">{aside}</div>}
      </div>
      {children}
    </section>
  )
}
