import { EmptyState } from '../../components/EmptyState'

export function UsagePage() {
  return (
    <>
      <h1 className="mb-4 text-lg font-semibold">Usage</h1>
      <EmptyState title="Not part of this version yet">
        The figures are in the API already: see /api/docs.
      </EmptyState>
    </>
  )
}
