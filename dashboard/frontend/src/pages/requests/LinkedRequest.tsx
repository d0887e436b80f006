import { Button } from '../../components/Button'
import { Card } from '../../components/Card'
import { ErrorState } from '../../components/ErrorState'
import { Loading } from '../../components/Loading'
import { useRequest } from '../../hooks/useApi'
import { useNames } from '../../hooks/useLive'
import { setSearch } from '../../hooks/useLocation'
import { requestName } from '../../lib/requestWords'
import { RequestDetail } from './RequestDetail'

/** The request that the address names, where the table does not show it. */
export function LinkedRequest({ id }: { id: number }) {
  const { data, error, refetch } = useRequest(id)
  const names = useNames()
  return (
    <Card
      className="mb-4"
      title={data === undefined ? `Request ${id}` : requestName(data, names)}
      aside={
        <Button size="small" onClick={() => setSearch({ open: null })}>
          Close
        </Button>
      }
    >
      {data !== undefined ? (
        <RequestDetail request={data} />
      ) : error !== null ? (
        <ErrorState title="This request could not be loaded" error={error} onRetry={() => void refetch()} />
      ) : (
        <Loading label="The request" />
      )}
    </Card>
  )
}
