import { expect, test } from 'vitest'
import { PAGES, pageAt } from './routes'

test('each page is found at its path, with or without a slash at the end', () => {
  for (const { path, name } of PAGES) {
    expect(pageAt(path)).toBe(name)
    if (path !== '/') expect(pageAt(`${path}/`)).toBe(name)
  }
})

test('there is nothing at any other path', () => {
  expect([pageAt('/histor'), pageAt('/history/7'), pageAt('')]).toEqual([null, null, null])
})
