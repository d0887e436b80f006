import type { Cache, CacheLoss } from '../../api/now'
import { Card } from '../../components/Card'
import { Icon } from '../../components/Icon'
import { useNames } from '../../hooks/useLive'
import { causesInWords, lostInWords, sharesInWords } from '../../lib/cache'
import { clientName } from '../../lib/requestWords'

/** Who misses the prompt cache, what that costs and why; a line where nobody does, nothing where nobody asked. */
export function CacheCard({ cache }: { cache: Cache }) {
  if (cache.input_tokens === 0) return null
  return (
    <Card title="Prompt cache" aside="the last hour">
      {cache.losses.length === 0 ? (
        <p className="text-soft">All input: {sharesInWords(cache)}.</p>
      ) : (
        <ul className="grid gap-3">
          {cache.losses.map((loss) => (
            <LossItem key={`${loss.target} ${loss.client} ${loss.program}`} loss={loss} cache={cache} />
          ))}
        </ul>
      )}
    </Card>
  )
}

function LossItem({ loss, cache: { doctor, seconds } }: { loss: CacheLoss; cache: Cache }) {
  const names = useNames()
  const client = loss.client === null ? null : clientName(loss.client, names)
  const details = [client, lostInWords(loss, seconds)].filter((text) => text !== null)
  return (
    <li className="flex min-w-0 gap-3">
      <Icon name="warning" className="mt-0.5 size-5 text-warning" />
      <div className="min-w-0">
        <p>
          <span className="font-medium">{loss.program ?? 'A program without a name'}</span>:{' '}
          {sharesInWords(loss)}
        </p>
        <p className="text-xs text-soft">{details.join(' · ')}</p>
        {causesInWords(loss, doctor, names).map((text) => (
          <p key={text} className="text-pretty break-words text-soft">
            {text}
          </p>
        ))}
      </div>
    </li>
  )
}
