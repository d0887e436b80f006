import { useSyncExternalStore } from 'react'

export type Theme = 'light' | 'dark'

const CHANGED = 'zai:theme'
const KEY = 'theme'

/** What is shown at the moment: the reader's choice, or else the system's. public/theme.js sets the first. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  return [useSyncExternalStore(subscribe, shown), choose]
}

function shown(): Theme {
  return document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light'
}

function show(theme: Theme) {
  document.documentElement.dataset.theme = theme
  window.dispatchEvent(new Event(CHANGED))
}

function choose(theme: Theme) {
  show(theme)
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // Storage may be forbidden: then the choice lasts as long as the page.
  }
}

function isChosen(): boolean {
  try {
    return localStorage.getItem(KEY) !== null
  } catch {
    return false
  }
}

function subscribe(listener: () => void): () => void {
  const system = window.matchMedia('(prefers-color-scheme: dark)')
  const follow = () => {
    if (!isChosen()) show(system.matches ? 'dark' : 'light')
  }
  system.addEventListener('change', follow)
  window.addEventListener(CHANGED, listener)
  return () => {
    system.removeEventListener('change', follow)
    window.removeEventListener(CHANGED, listener)
  }
}
