import { EmptyState } from '../components/EmptyState'
import { Link } from '../components/Link'

export function NotFoundPage() {
  return (
    <>
      <h1 className="mb-4 text-lg font-semibold">Not found</h1>
      <EmptyState title="There is no page at this address">
        <Link href="/" className="text-accent underline">
          Look at what goes on now
        </Link>
      </EmptyState>
    </>
  )
}
