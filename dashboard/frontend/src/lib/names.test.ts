import { expect, test } from 'vitest'
import { filterValueInWords, givenName, NO_NAMES, nameAndKey, nameBook } from './names'

const NAMES = nameBook([
  { kind: 'client', key: 'source-17', name: "Anna's laptop" },
  { kind: 'session', key: '3f0a', name: 'the big refactoring' },
])

test('a name is of a client or of a session, not of whatever is called so', () => {
  expect(givenName(NAMES, 'client', 'source-17')).toBe("Anna's laptop")
  expect(givenName(NAMES, 'session', 'source-17')).toBeNull()
  expect(givenName(NAMES, 'session', '3f0a')).toBe('the big refactoring')
  expect(givenName(NAMES, 'client', null)).toBeNull()
  expect(givenName(NO_NAMES, 'client', 'source-17')).toBeNull()
})

test('where one has to find it again, what is named stands beside its name', () => {
  expect(nameAndKey(NAMES, 'client', 'source-17')).toBe("Anna's laptop (source-17)")
  expect(nameAndKey(NAMES, 'client', 'source-18')).toBe('source-18')
  expect(filterValueInWords(NAMES, 'session', '3f0a')).toBe('the big refactoring (3f0a)')
  expect(filterValueInWords(NAMES, 'model', 'source-17')).toBe('source-17')
})
