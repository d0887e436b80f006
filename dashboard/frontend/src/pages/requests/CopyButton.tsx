import { useState } from 'react'

/** Puts a value into the clipboard. Browsers offer one only on this machine or over HTTPS: elsewhere there is no button. */
export function CopyButton({ name, value }: { name: string; value: string }) {
  const [said, setSaid] = useState('')
  if (!window.isSecureContext) return null
  function copy() {
    navigator.clipboard.writeText(value).then(
      () => setSaid('copied'),
      () => setSaid('not allowed'),
    )
  }
  return (
    <button
      type="button"
      onClick={copy}
      onBlur={() => setSaid('')}
      className="shrink-0 rounded text-xs/5 text-accent underline-offset-2 hover:underline"
    >
      <span aria-live="polite">{said || 'copy'}</span>
      <span className="sr-only"> {name.toLowerCase()}</span>
    </button>
  )
}
