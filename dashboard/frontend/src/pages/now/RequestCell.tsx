import type { ReactNode } from 'react'
import type { RequestIdentity } from '../../api/common'
import { NameButton } from '../../components/NameButton'
import { RequestSubject } from '../../components/RequestSubject'
import { useNames } from '../../hooks/useLive'
import { laneName, senderName } from '../../lib/requestWords'

interface RequestCellProps {
  request: RequestIdentity
  /** A third line, on a phone only. */
  more?: ReactNode
}

/** Model and path, and who sent it, in two lines that are cut where there is no room. */
export function RequestCell({ request, more }: RequestCellProps) {
  const { client, session, program, agent, lane } = request
  const names = useNames()
  return (
    <>
      <span className="block truncate" title={request.request_id ?? undefined}>
        <RequestSubject request={request} />
      </span>
      <span className="flex items-center gap-1 text-xs text-soft">
        <span className="truncate">
          {program !== null && `${program} · `}
          {senderName(request, names)}
          {agent !== null && ` · agent ${agent}`}
          <span className="md:hidden"> · {laneName(lane)}</span>
        </span>
        <NameButton client={client} session={session} />
      </span>
      {more !== undefined && <span className="block text-xs sm:hidden">{more}</span>}
    </>
  )
}
