/** `GET /api/now`, and the event `now`. `null` is a value that nobody knows. */
export type {
  Alert,
  Health,
  Lane,
  Level,
  Limit,
  ModelLimit,
  Move as LimitMove,
  Now,
  PerMinute,
  QuotaWindow,
  Running as RunningRequest,
  Severity,
  TargetState,
  Trouble as ErrorGroup,
  Waiting as WaitingRequest,
  Workers,
} from './schema'
