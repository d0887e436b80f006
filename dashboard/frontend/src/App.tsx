import { QueryClientProvider } from '@tanstack/react-query'
import { useState } from 'react'
import { Shell } from './components/Shell'
import { createQueryClient } from './hooks/useApi'
import { LiveProvider } from './hooks/useLive'
import { useLocation } from './hooks/useLocation'
import { pageAt } from './lib/routes'
import { HistoryPage } from './pages/history/HistoryPage'
import { NotFoundPage } from './pages/NotFoundPage'
import { NowPage } from './pages/now/NowPage'
import { RequestsPage } from './pages/requests/RequestsPage'
import { UsagePage } from './pages/usage/UsagePage'

const PAGES = { Now: NowPage, History: HistoryPage, Requests: RequestsPage, Usage: UsagePage }

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
  return <Page />
}
