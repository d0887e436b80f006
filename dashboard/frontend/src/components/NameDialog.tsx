import type { FormEvent } from 'react'
import type { NameKind } from '../api/names'
import { useSaveName } from '../hooks/useApi'
import { useNames } from '../hooks/useLive'
import type { Named } from '../hooks/useNaming'
import { givenName, LONGEST_NAME } from '../lib/names'
import { Button } from './Button'
import { Dialog } from './Dialog'

const LABELS: Record<NameKind, string> = { client: 'Client', session: 'Session' }

interface NameDialogProps {
  named: readonly Named[]
  onClose: () => void
}

/** Asks what clients and sessions are to be called. */
export function NameDialog({ named, onClose }: NameDialogProps) {
  const names = useNames()
  const { mutateAsync, isPending, error } = useSaveName()

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const typed = new FormData(event.currentTarget)
    for (const { kind, key } of named) {
      const name = String(typed.get(kind) ?? '').trim()
      if (name !== (givenName(names, kind, key) ?? '')) await mutateAsync({ kind, key, name })
    }
    onClose()
  }

  return (
    <Dialog title="Names" onClose={onClose}>
      <p className="mt-1 text-pretty text-soft">For everybody who sees this dashboard. Empty: no name.</p>
      {/* What went wrong is shown below. */}
      <form onSubmit={(event) => void save(event).catch(() => undefined)} className="mt-3 grid gap-3">
        {named.map(({ kind, key }) => (
          <label key={kind} className="grid gap-0.5">
            <span>
              {LABELS[kind]} <span className="break-all text-xs text-soft">{key}</span>
            </span>
            <input
              name={kind}
              defaultValue={givenName(names, kind, key) ?? ''}
              maxLength={LONGEST_NAME}
              autoComplete="off"
              className="h-8 min-w-0 rounded-md border border-line-strong bg-card px-2"
            />
          </label>
        ))}
        <p role="alert" className="text-critical empty:hidden">
          {error?.message}
        </p>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={isPending}>
            {isPending ? 'Saving…' : 'Save'}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
