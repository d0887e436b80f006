import { useLive } from '../hooks/useLive'
import { setSearch, useLocation } from '../hooks/useLocation'

/** All proxies together or one of them, where there is more than one. The choice stands in the address. */
export function TargetPicker() {
  const targets = useLive((state) => state.now?.targets)
  const chosen = useLocation().search.get('target') ?? ''
  const known = targets ?? []
  if (known.length < 2 && chosen === '') return null
  const isUnknown = chosen !== '' && !known.some(({ id }) => String(id) === chosen)
  return (
    <label className="flex items-center gap-2">
      <span className="text-soft">Proxy</span>
      <select
        value={chosen}
        onChange={(event) => setSearch({ target: event.target.value || null })}
        className="max-w-56 rounded-md border border-line-strong bg-card px-2 py-1"
      >
        <option value="">all together</option>
        {known.map(({ id, name }) => (
          <option key={id} value={String(id)}>
            {name}
          </option>
        ))}
        {isUnknown && <option value={chosen}>{`number ${chosen}`}</option>}
      </select>
    </label>
  )
}
