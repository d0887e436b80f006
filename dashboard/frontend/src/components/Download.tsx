interface DownloadProps {
  href: string
  /** What is in the file: "Requests by status". */
  of: string
}

/** A link to a file with what is shown. */
export function Download({ href, of }: DownloadProps) {
  return (
    <a
      href={href}
      download
      aria-label={`${of} as CSV`}
      className="rounded text-xs text-soft underline decoration-line-strong underline-offset-2 hover:text-text"
    >
      CSV
    </a>
  )
}
