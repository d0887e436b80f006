import { Component, type ReactNode } from 'react'
import { ErrorState } from './ErrorState'

/** The last resort: says what broke, and offers to load the page anew. */
export class Crash extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null }

  static getDerivedStateFromError(error: unknown) {
    return { error }
  }

  override render() {
    if (this.state.error === null) return this.props.children
    return (
      <main className="mx-auto max-w-2xl p-6">
        <h1 className="mb-4 text-lg font-semibold">The page broke</h1>
        <ErrorState
          title="This is a defect of the dashboard, not of the proxy"
          error={this.state.error}
          onRetry={() => window.location.reload()}
        />
      </main>
    )
  }
}
