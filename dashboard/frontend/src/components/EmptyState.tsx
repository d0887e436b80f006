import type { ReactNode } from 'react'

/** Where nothing is: why that is so, or what to do to see something. */
export function EmptyState({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="rounded-lg border border-dashed border-line px-4 py-4 text-center text-soft">
      <p className="font-medium text-text">{title}</p>
      {children !== undefined && <div className="mx-auto mt-1 max-w-prose text-pretty">{children}</div>}
    </div>
  )
}
