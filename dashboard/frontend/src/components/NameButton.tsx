import { useLive, useNames } from '../hooks/useLive'
import { type Named, useNaming } from '../hooks/useNaming'
import { nameAndKey } from '../lib/names'
import { Icon } from './Icon'

interface NameButtonProps {
  client?: string | null
  session?: string | null
}

/** Lets a person call a client, and a session, as they like. Nothing where there is neither, or where nobody may. */
export function NameButton({ client = null, session = null }: NameButtonProps) {
  const mayName = useLive((state) => state.now?.can_name ?? false)
  const names = useNames()
  const ask = useNaming()
  const named: Named[] = []
  if (client !== null) named.push({ kind: 'client', key: client })
  if (session !== null) named.push({ kind: 'session', key: session })
  if (!mayName || named.length === 0) return null
  const whose = named.map(({ kind, key }) => `${kind} ${nameAndKey(names, kind, key)}`).join(' and ')
  return (
    <button
      type="button"
      aria-label={`Name ${whose}`}
      title="Give it a name"
      onClick={() => ask(named)}
      className="shrink-0 self-center rounded p-1 text-soft hover:text-text"
    >
      <Icon name="edit" className="size-3.5" />
    </button>
  )
}
