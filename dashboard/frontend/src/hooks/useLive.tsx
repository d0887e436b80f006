import { useQueryClient } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from 'react'
import { getJson } from '../api/http'
import { type LiveEvent, type LiveState, reduceLive, SILENT } from '../lib/live'
import { keepListening } from '../lib/liveConnection'
import type { NameBook } from '../lib/names'
import { createStore, type Store } from '../lib/store'

const LiveContext = createContext<Store<LiveState, LiveEvent> | null>(null)

/** Opens the one event stream of the page, for all below. Loads tables anew when events were missed for good. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const [store] = useState(() => createStore(reduceLive, SILENT))
  const client = useQueryClient()

  useEffect(
    () =>
      keepListening({
        open: (url) => new EventSource(url),
        probe: () => getJson('/api/now', {}),
        dispatch: store.dispatch,
        lastEventId: () => store.get().lastEventId,
      }),
    [store],
  )

  useEffect(() => {
    let known = store.get().generation
    return store.subscribe(() => {
      if (store.get().generation === known) return
      known = store.get().generation
      void client.invalidateQueries()
    })
  }, [store, client])

  return <LiveContext value={store}>{children}</LiveContext>
}

/** What people call clients and sessions. */
export function useNames(): NameBook {
  return useLive((state) => state.names)
}

/** A part of what the stream has told. Draws anew only if this very part has changed: select what exists, make nothing. */
export function useLive<Part>(select: (state: LiveState) => Part): Part {
  const store = useContext(LiveContext)
  if (store === null) throw new Error('useLive needs a LiveProvider around it')
  return useSyncExternalStore(store.subscribe, () => select(store.get()))
}
