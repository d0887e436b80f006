import { createContext, type ReactNode, useContext, useState } from 'react'
import type { NameKind } from '../api/names'
import { NameDialog } from '../components/NameDialog'

export interface Named {
  kind: NameKind
  key: string
}

type Ask = (named: readonly Named[]) => void

const NamingContext = createContext<Ask>(() => undefined)

/** Holds the dialog that asks for names: a request whose client is being named may end meanwhile, and its row go. */
export function NamingProvider({ children }: { children: ReactNode }) {
  const [named, setNamed] = useState<readonly Named[] | null>(null)
  return (
    <NamingContext value={setNamed}>
      {children}
      {named !== null && <NameDialog named={named} onClose={() => setNamed(null)} />}
    </NamingContext>
  )
}

/** Asks the reader what these are to be called. */
export function useNaming(): Ask {
  return useContext(NamingContext)
}
