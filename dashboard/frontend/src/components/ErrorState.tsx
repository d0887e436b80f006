import { Button } from './Button'
import { Icon } from './Icon'

interface ErrorStateProps {
  title: string
  error: unknown
  onRetry?: () => void
}

/** What could not be shown, why, and a way to try again. */
export function ErrorState({ title, error, onRetry }: ErrorStateProps) {
  return (
    <div role="alert" className="flex flex-wrap items-center gap-3 rounded-lg bg-critical-tint px-4 py-3">
      <Icon name="critical" className="size-5 text-critical" />
      <div className="min-w-0 flex-1">
        <p className="font-medium text-critical">{title}</p>
        <p className="break-words">{error instanceof Error ? error.message : 'The reason is not known.'}</p>
      </div>
      {onRetry && <Button onClick={onRetry}>Try again</Button>}
    </div>
  )
}
