import { QueryClientProvider } from '@tanstack/react-query'
import { type ComponentType, lazy, Suspense, useEffect, useState } from 'react'
import { getJson } from './api/http'
import { ErrorState } from './components/ErrorState'
import { Loading } from './components/Loading'
import { Shell } from './components/Shell'
import { createQueryClient } from './hooks/useApi'
import { LiveProvider } from './hooks/useLive'
import { useLocation } from './hooks/useLocation'
import { NamingProvider } from './hooks/useNaming'
import { pageAt } from './lib/routes'
import { NotFoundPage } from './pages/NotFoundPage'
import { NowPage } from './pages/now/NowPage'

/** The first page comes with the rest, the others right after it: what is shown at once stays small. */
const LATER = {
  History: async () => (await import('./pages/history/HistoryPage')).HistoryPage,
  Requests: async () => (await import('./pages/requests/RequestsPage')).RequestsPage,
  Usage: async () => (await import('./pages/usage/UsagePage')).UsagePage,
}

const PAGES = {
  Now: NowPage,
  History: later(LATER.History),
  Requests: later(LATER.Requests),
  Usage: later(LATER.Usage),
}

function later(load: () => Promise<ComponentType>) {
  return lazy(async () => {
    try {
      return { default: await load() }
    } catch (error) {
      // If the session has ended, this leads to the form to sign in.
      await getJson('/api/targets', {}).catch(() => undefined)
      return { default: () => <NotLoaded error={error} /> }
    }
  })
}

function NotLoaded({ error }: { error: unknown }) {
  return (
    <ErrorState
      title="This page could not be loaded"
      error={error}
      onRetry={() => window.location.reload()}
    />
  )
}

const FIRST_PAINT_MS = 1000

/** Loads all pages soon after the first, so that they can be opened even if the session ends or a new version is installed. */
function useAllPages() {
  useEffect(() => {
    const timer = setTimeout(() => {
      // Whoever opens a page that could not be loaded now is told so then.
      for (const load of Object.values(LATER)) void load().catch(() => undefined)
    }, FIRST_PAINT_MS)
    return () => clearTimeout(timer)
  }, [])
}

export function App() {
  const [client] = useState(createQueryClient)
  useAllPages()
  return (
    <QueryClientProvider client={client}>
      <LiveProvider>
        <NamingProvider>
          <Shell>
            <CurrentPage />
          </Shell>
        </NamingProvider>
      </LiveProvider>
    </QueryClientProvider>
  )
}

function CurrentPage() {
  const page = pageAt(useLocation().path)
  const Page = page === null ? NotFoundPage : PAGES[page]
  return (
    <Suspense fallback={<Loading label="The page" className="h-96" />}>
      <Page />
    </Suspense>
  )
}
