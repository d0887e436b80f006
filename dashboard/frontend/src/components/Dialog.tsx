import { type ReactNode, useEffect, useId, useRef } from 'react'

interface DialogProps {
  title: string
  children: ReactNode
  onClose: () => void
}

/** Stands before the page until it is closed. The focus stays inside; Escape closes it. */
export function Dialog({ title, children, onClose }: DialogProps) {
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
      className="w-[min(28rem,calc(100vw-2rem))] rounded-xl border border-line bg-card p-5 text-left whitespace-normal text-text shadow-xl backdrop:bg-[#0008]"
    >
      <h2 id={heading} className="text-base font-semibold">
        {title}
      </h2>
      {children}
    </dialog>
  )
}
