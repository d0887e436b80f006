/** The codes in which Z.AI says why it refused: what class of trouble each is, and what it means. As in docs/errors.md. */

export type ErrorClass =
  | 'concurrency'
  | 'frequency'
  | 'overload'
  | 'quota'
  | 'auth'
  | 'account'
  | 'client'
  | 'internal'
  | 'identity'
  | 'unknown'

export const BUSINESS_CODES: Readonly<Record<string, readonly [ErrorClass, string]>> = {
  401: ['auth', 'key missing, wrong or expired'],
  404: ['client', 'a path that Z.AI does not have (its 500 with "404 NOT_FOUND")'],
  500: ['internal', 'internal error'],
  1000: ['auth', 'authentication failed'],
  1001: ['auth', 'no key in the request'],
  1002: ['auth', 'key malformed'],
  1003: ['auth', 'key expired'],
  1004: ['auth', 'key not accepted'],
  1005: ['auth', 'key not accepted'],
  1110: ['account', 'account inactive'],
  1111: ['account', 'account does not exist'],
  1112: ['account', 'account locked'],
  1113: ['account', 'no balance and no resource package, or a Coding Plan key on a pay-as-you-go endpoint'],
  1120: ['account', 'account temporarily unreachable'],
  1121: ['account', 'account locked for irregular activity'],
  1200: ['internal', 'internal error'],
  1210: ['client', 'wrong parameter'],
  1211: ['client', 'unknown model'],
  1212: ['client', 'the model does not support this method'],
  1213: ['client', 'missing parameter'],
  1214: ['client', 'invalid parameter or unknown model'],
  1215: ['client', 'parameters that exclude each other'],
  1220: ['client', 'no permission for this model or API'],
  1221: ['client', 'model or API taken offline'],
  1222: ['client', 'model or API does not exist'],
  1230: ['internal', 'internal error while processing the call'],
  1234: ['internal', 'network failure inside Z.AI'],
  1261: ['client', 'prompt too long'],
  1301: ['client', 'content filter'],
  1302: ['concurrency', 'too many requests at the same time'],
  1303: ['frequency', 'too many requests a second'],
  1304: ['quota', 'daily call limit reached'],
  1305: ['overload', 'service overloaded (or, seldom, a content filter)'],
  1308: ['quota', '5-hour limit reached'],
  1309: ['account', 'plan expired'],
  1310: ['quota', 'weekly or monthly limit reached'],
  1311: ['account', 'the plan does not include this model'],
  1312: ['overload', 'this model is under heavy load'],
  1313: ['account', 'restricted under the fair use policy'],
  1314: ['account', 'cap of the organisation or sub-account'],
  1315: ['account', 'cap of the organisation or sub-account'],
  1316: ['quota', '5-hour limit reached and no balance for more'],
  1317: ['quota', '7-day limit reached and no balance for more'],
  1318: ['account', 'cap of the organisation or sub-account'],
  1319: ['account', 'cap of the organisation or sub-account'],
  1320: ['account', 'cap of the organisation or sub-account'],
  1321: ['account', 'cap of the organisation or sub-account'],
  2007: ['overload', 'service temporarily unavailable'],
  3008: ['concurrency', 'too many requests at the same time (Start Plan)'],
  3009: ['concurrency', 'too many requests at the same time (Start Plan)'],
  3010: ['concurrency', 'too many requests at the same time (Start Plan)'],
}
