interface FilterChipProps {
  name: string
  value: string
  onRemove: () => void
}

/** A filter that is in force, in a list of them; a click takes it away. */
export function FilterChip({ name, value, onRemove }: FilterChipProps) {
  return (
    <li className="min-w-0">
      <button
        type="button"
        onClick={onRemove}
        className="flex max-w-full items-center gap-1.5 rounded-full bg-accent-tint px-2.5 py-0.5 text-xs/5 text-accent"
      >
        <span className="sr-only">Take away the filter</span>
        <span className="truncate">
          {name}: {value}
        </span>
        <span aria-hidden="true">✕</span>
      </button>
    </li>
  )
}
