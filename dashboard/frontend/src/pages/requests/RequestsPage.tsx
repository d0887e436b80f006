import { EmptyState } from '../../components/EmptyState'

export function RequestsPage() {
  return (
    <>
      <h1 className="mb-4 text-lg font-semibold">Requests</h1>
      <EmptyState title="Not part of this version yet">
        The figures are in the API already: see /api/docs.
      </EmptyState>
    </>
  )
}
