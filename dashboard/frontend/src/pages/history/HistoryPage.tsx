import { EmptyState } from '../../components/EmptyState'

export function HistoryPage() {
  return (
    <>
      <h1 className="mb-4 text-lg font-semibold">History</h1>
      <EmptyState title="Not part of this version yet">
        The figures are in the API already: see /api/docs.
      </EmptyState>
    </>
  )
}
