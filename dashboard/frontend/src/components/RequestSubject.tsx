import type { RequestIdentity } from '../api/common'
import { modelName, otherModelAsked } from '../lib/requestWords'

/** What a request is about, in one line: the model, the one asked for where that is another, and the path. */
export function RequestSubject({ request }: { request: RequestIdentity }) {
  const name = modelName(request)
  const asked = otherModelAsked(request)
  return (
    <>
      {name !== null && <span className="font-medium">{name} </span>}
      {asked !== null && <span className="text-soft">for {asked} </span>}
      <span className={name === null ? '' : 'text-soft'}>{request.path ?? 'unknown path'}</span>
    </>
  )
}
