import type { RequestIdentity } from '../../api/common'
import { laneName, senderName } from '../../lib/requestWords'

/** Model and path, and who sent it, in two lines that are cut where there is no room. */
export function RequestCell({ request }: { request: RequestIdentity }) {
  const { model, path, agent, lane } = request
  return (
    <>
      <span className="block truncate" title={request.request_id ?? undefined}>
        {model !== null && <span className="font-medium">{model} </span>}
        <span className={model === null ? '' : 'text-soft'}>{path ?? 'unknown path'}</span>
      </span>
      <span className="block truncate text-xs text-soft">
        {senderName(request)}
        {agent !== null && ` · agent ${agent}`}
        <span className="md:hidden"> · {laneName(lane)}</span>
      </span>
    </>
  )
}
