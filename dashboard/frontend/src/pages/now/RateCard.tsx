import { useMemo } from 'react'
import type { PerMinute } from '../../api/now'
import { Card } from '../../components/Card'
import { Sparkline } from '../../components/Sparkline'
import { useSeries } from '../../hooks/useApi'
import { chartData, summed } from '../../lib/chart'
import { formatCompact, formatCount, formatMoney, formatRate } from '../../lib/numbers'
import { totalTokens } from '../../lib/tokens'

const QUERY = { name: ['requests', 'tokens', 'cost'], from: '-15m', step: 15 }
const REFRESH_SECONDS = 15

/** Requests, tokens and cost a minute, with the course of the last 15 minutes. */
export function RateCard({ rates }: { rates: PerMinute }) {
  const { requests, failed, tokens, cost_usd, credits } = rates
  return (
    <Card title="A minute" aside="the last 15 minutes">
      <ul className="grid gap-3">
        <Rate chart="requests" label="requests" value={formatRate(requests)}>
          {failed === null ? '' : failed > 0 ? `${formatCount(failed)} failed` : 'none failed'}
        </Rate>
        <Rate chart="tokens" label="tokens" value={formatCompact(totalTokens(tokens))}>
          {formatCompact(tokens.input)} in, {formatCompact(tokens.cache_read)} cached,{' '}
          {formatCompact(tokens.output)} out
        </Rate>
        <Rate chart="cost" label="list price" value={formatMoney(cost_usd)}>
          {credits === null ? '' : `${formatCompact(credits)} plan credits`}
        </Rate>
      </ul>
    </Card>
  )
}

interface RateProps {
  chart: string
  label: string
  value: string
  children: React.ReactNode
}

function Rate({ chart, label, value, children }: RateProps) {
  return (
    <li className="grid grid-cols-[minmax(0,1fr)_36%] items-center gap-3">
      <div className="min-w-0">
        <p>
          <span className="text-lg/6 font-semibold">{value}</span> <span className="text-soft">{label}</span>
        </p>
        <p className="min-h-4 text-xs text-soft">{children}</p>
      </div>
      <Course chart={chart} />
    </li>
  )
}

function Course({ chart }: { chart: string }) {
  const { data } = useSeries(QUERY, { every: REFRESH_SECONDS })
  const { times, values } = useMemo(() => {
    if (data === undefined) return { times: [], values: [] }
    const { times, lines } = chartData(data, chart, { per: 'minute' })
    return { times, values: summed(lines) }
  }, [data, chart])
  return <Sparkline times={times} values={values} />
}
