import { type ReactNode, useEffect, useId, useRef } from 'react'
import { Button } from './Button'

interface ConfirmDialogProps {
  title: string
  children: ReactNode
  confirm: string
  isBusy?: boolean
  onConfirm: () => void
  onClose: () => void
}

/** Asks before something that can't be undone. The focus stays inside; Escape closes it. */
export function ConfirmDialog({
  title,
  children,
  confirm,
  isBusy = false,
  onConfirm,
  onClose,
}: ConfirmDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const heading = useId()

  useEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])

  return (
    <dialog
      ref={dialog}
      aria-labelledby={heading}
      onClose={onClose}
      className="w-[min(28rem,calc(100vw-2rem))] rounded-xl border border-line bg-card p-5 text-left text-text shadow-xl backdrop:bg-[#0008]"
    >
      <h2 id={heading} className="text-base font-semibold">
        {title}
      </h2>
      <div className="my-3 text-soft">{children}</div>
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Leave it running</Button>
        <Button look="danger" disabled={isBusy} onClick={onConfirm}>
          {confirm}
        </Button>
      </div>
    </dialog>
  )
}
