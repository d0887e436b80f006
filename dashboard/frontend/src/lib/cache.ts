/** The prompt cache in a few words. */

import type { Cache, CacheLoss } from '../api/now'
import type { NameBook } from './names'
import { formatCompact, formatMoney, formatShare } from './numbers'
import { sessionName } from './requestWords'

const HOUR = 3600
const CENT = 0.005
const CREDIT = 0.5
const WORTH_SAYING = 0.2

type Tokens = Pick<Cache, 'input_tokens' | 'cached_tokens' | 'cacheable_tokens' | 'unknown_tokens'>

/** `72 % cached, could be 75 %`, or that no better was possible, or that nobody knows. */
export function sharesInWords(tokens: Tokens): string {
  const { input_tokens, cached_tokens, cacheable_tokens, unknown_tokens } = tokens
  if (input_tokens === 0) return 'no input'
  const [is, could, unknown] = [cached_tokens, cacheable_tokens, unknown_tokens].map((part) =>
    formatShare(part / input_tokens),
  )
  if (unknown_tokens < input_tokens * WORTH_SAYING) {
    return is === could ? `${is} cached, as much as could be` : `${is} cached, could be ${could}`
  }
  return is === could
    ? `${is} cached, whether more could be is not known`
    : `${is} cached, could be ${could}, and of ${unknown} it is not known`
}

/** `$1.20 and 340 credits an hour`; null where it is less than a cent and a credit, or nobody knows. */
export function lostInWords(
  { lost_usd, lost_credits }: Pick<CacheLoss, 'lost_usd' | 'lost_credits'>,
  seconds: number,
): string | null {
  const usd = ((lost_usd ?? 0) * HOUR) / seconds
  const credits = ((lost_credits ?? 0) * HOUR) / seconds
  const parts = [
    ...(usd >= CENT ? [formatMoney(usd)] : []),
    ...(credits >= CREDIT ? [`${formatCompact(Math.round(credits))} credits`] : []),
  ]
  return parts.length === 0 ? null : `${parts.join(' and ')} an hour`
}

/** What changes, in which session, and what helps, each sentence once; else how to find out. */
export function causesInWords(
  { findings }: Pick<CacheLoss, 'findings'>,
  doctor: boolean,
  names: NameBook,
): string[] {
  if (findings.length > 0) {
    return [...new Set(findings.map(({ text }) => text))].map((text) => {
      const same = findings.filter((finding) => finding.text === text)
      const sessions = [...new Set(same.flatMap(({ session }) => session ?? []))]
      return sessions.length === 0 ? text : `${sessionsInWords(sessions, names)}: ${text}`
    })
  }
  return [
    doctor
      ? 'Which part of its prompts changes, or whether one does, is not known, or not yet.'
      : 'CACHE_DOCTOR=on finds out what changes.',
  ]
}

function sessionsInWords(sessions: string[], names: NameBook): string {
  const [first = '', ...others] = sessions
  return others.length === 0 ? `Session ${sessionName(first, names)}` : `${sessions.length} sessions`
}
