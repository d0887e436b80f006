import { useState } from 'react'
import type { RunningRequest, WaitingRequest } from '../../api/now'
import { Button } from '../../components/Button'
import { ConfirmDialog } from '../../components/ConfirmDialog'
import { useCancel } from '../../hooks/useApi'
import { useNames } from '../../hooks/useLive'
import { requestName } from '../../lib/requestWords'

/** Ends a request, after a question. It goes from the list by itself once it has ended. */
export function EndButton({ request }: { request: RunningRequest | WaitingRequest }) {
  const { id } = request
  const name = requestName(request, useNames())
  const [asks, setAsks] = useState(false)
  const { mutate, isPending, isSuccess, error, reset } = useCancel()

  function close() {
    setAsks(false)
    reset()
  }

  if (isSuccess && !asks) return <span className="text-xs text-soft">ending…</span>
  return (
    <>
      <Button size="small" aria-label={`End ${name}`} onClick={() => setAsks(true)}>
        End
      </Button>
      {asks && (
        <ConfirmDialog
          title="End this request?"
          confirm={isPending ? 'Ending…' : 'End it'}
          isBusy={isPending}
          onConfirm={() => mutate(id, { onSuccess: () => setAsks(false) })}
          onClose={close}
        >
          <p>
            {name}: the client sees a broken answer, and the place is free at once. What it has used is used.
          </p>
          {error !== null && (
            <p role="alert" className="mt-2 text-critical">
              {error.message}
            </p>
          )}
        </ConfirmDialog>
      )}
    </>
  )
}
