/** Holds the place of what is loaded. `label` says what that is. */
export function Loading({ label, className = 'h-24' }: { label: string; className?: string }) {
  return (
    <div role="status" className={`animate-pulse rounded-lg bg-sunken ${className}`}>
      <span className="sr-only">{label}</span>
    </div>
  )
}
