import { Loading } from '../../components/Loading'
import { useLive } from '../../hooks/useLive'
import { AlertList } from './AlertList'
import { CacheCard } from './CacheCard'
import { ErrorsCard } from './ErrorsCard'
import { Headline } from './Headline'
import { LimitsCard } from './LimitsCard'
import { PlacesCard } from './PlacesCard'
import { QuotaCard } from './QuotaCard'
import { RateCard } from './RateCard'
import { RunningCard } from './RunningCard'
import { WaitingCard } from './WaitingCard'

/** What goes on at this moment, the most urgent first; on a wide screen the plan stands beside it. */
export function NowPage() {
  const now = useLive((state) => state.now)
  const isLost = useLive((state) => state.connection.state === 'lost')
  if (now === null) return <NothingYet isLost={isLost} />
  const ofHeadline = now.alerts.find(({ title }) => title === now.health.headline)
  return (
    <>
      <Headline now={now} alert={ofHeadline} />
      <AlertList alerts={now.alerts.filter((alert) => alert !== ofHeadline)} now={now.at} />
      <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_22rem] xl:grid-cols-[minmax(0,1fr)_26rem]">
        <div className="grid min-w-0 gap-4">
          <PlacesCard now={now} />
          <RunningCard now={now} />
          <WaitingCard now={now} />
          <LimitsCard limits={now.limits} models={now.model_limits} targets={now.targets} />
        </div>
        <div className="grid min-w-0 gap-4">
          <QuotaCard quota={now.quota} plan={now.plan} now={now.at} />
          <RateCard rates={now.per_minute} />
          <CacheCard cache={now.cache} />
          <ErrorsCard errors={now.errors} />
        </div>
      </div>
    </>
  )
}

function NothingYet({ isLost }: { isLost: boolean }) {
  return (
    <>
      <h1 className="mb-1 text-xl font-semibold">
        {isLost ? 'The dashboard does not answer' : 'Connecting…'}
      </h1>
      <p className="mb-5 min-h-5 text-soft">
        {isLost
          ? 'Look whether it still runs: zai-proxy run, or zai-proxy dashboard. This page goes on by itself.'
          : ''}
      </p>
      <div className="grid gap-4 lg:grid-cols-[minmax(0,1fr)_22rem] xl:grid-cols-[minmax(0,1fr)_26rem]">
        <Loading label="What runs" className="h-96" />
        <Loading label="The plan" className="h-96" />
      </div>
    </>
  )
}
