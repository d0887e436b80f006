import type { ReactNode } from 'react'
import type { RequestIdentity } from '../../api/common'
import { RequestSubject } from '../../components/RequestSubject'
import { laneName, senderName } from '../../lib/requestWords'

interface RequestCellProps {
  request: RequestIdentity
  /** A third line, on a phone only. */
  more?: ReactNode
}

/** Model and path, and who sent it, in two lines that are cut where there is no room. */
export function RequestCell({ request, more }: RequestCellProps) {
  const { program, agent, lane } = request
  return (
    <>
      <span className="block truncate" title={request.request_id ?? undefined}>
        <RequestSubject request={request} />
      </span>
      <span className="block truncate text-xs text-soft">
        {senderName(request)}
        {program !== null && ` · ${program}`}
        {agent !== null && ` · agent ${agent}`}
        <span className="md:hidden"> · {laneName(lane)}</span>
      </span>
      {more !== undefined && <span className="block text-xs sm:hidden">{more}</span>}
    </>
  )
}
