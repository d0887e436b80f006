import { QueryClientProvider } from '@tanstack/react-query'
import { lazy, Suspense, useState } from 'react'
import { Loading } from './components/Loading'
import { Shell } from './components/Shell'
import { createQueryClient } from './hooks/useApi'
import { LiveProvider } from './hooks/useLive'
import { useLocation } from './hooks/useLocation'
import { pageAt } from './lib/routes'
import { NotFoundPage } from './pages/NotFoundPage'
import { NowPage } from './pages/now/NowPage'

/** The first page comes with the rest, each other one when it is opened: what is shown at once stays small. */
const PAGES = {
  Now: NowPage,
  History: lazy(async () => ({ default: (await import('./pages/history/HistoryPage')).HistoryPage })),
  Requests: lazy(async () => ({ default: (await import('./pages/requests/RequestsPage')).RequestsPage })),
  Usage: lazy(async () => ({ default: (await import('./pages/usage/UsagePage')).UsagePage })),
}

export function App() {
  const [client] = useState(createQueryClient)
  return (
    <QueryClientProvider client={client}>
      <LiveProvider>
        <Shell>
          <CurrentPage />
        </Shell>
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
