import { type ReactNode, useEffect, useRef } from 'react'
import { useLive } from '../hooks/useLive'
import { useLocation } from '../hooks/useLocation'
import { PAGES, pageAt } from '../lib/routes'
import { Announcer } from './Announcer'
import { ConnectionBanner } from './ConnectionBanner'
import { Link } from './Link'
import { ThemeToggle } from './ThemeToggle'

const SIGNS = { ok: '', warning: '⚠ ', critical: '⛔ ', unknown: '' }

/** What surrounds each page. */
export function Shell({ children }: { children: ReactNode }) {
  const { path } = useLocation()
  const main = useRef<HTMLElement>(null)
  const page = pageAt(path)
  useTitle(page ?? 'Not found')
  useFocusOnArrival(main, path)
  return (
    <>
      <a
        href="#main"
        className="absolute left-2 -top-20 z-20 rounded-md bg-accent px-3 py-2 text-on-accent focus:top-2"
      >
        Skip to the content
      </a>
      <ConnectionBanner />
      <Notice />
      <header className="border-b border-line bg-card">
        <div className="mx-auto flex max-w-[100rem] flex-wrap items-center gap-x-6 px-4 sm:px-6">
          <p className="py-3 font-semibold max-sm:text-base">zai-proxy</p>
          <nav aria-label="Pages" className="flex max-sm:order-last max-sm:w-full max-sm:justify-between">
            {PAGES.map(({ path: target, name }) => (
              <Link
                key={name}
                href={target}
                aria-current={name === page ? 'page' : undefined}
                className="-mb-px border-b-2 border-transparent px-3 py-3 text-soft -outline-offset-2 hover:text-text aria-[current=page]:border-accent aria-[current=page]:font-medium aria-[current=page]:text-text"
              >
                {name}
              </Link>
            ))}
          </nav>
          <div className="ml-auto flex items-center gap-1">
            <ThemeToggle />
            <SignOut />
          </div>
        </div>
      </header>
      <main
        id="main"
        ref={main}
        tabIndex={-1}
        className="mx-auto max-w-[100rem] px-4 py-5 outline-none sm:px-6"
      >
        {children}
      </main>
      <Announcer />
    </>
  )
}

/** What the operator tells everyone who looks: that this is a demo, say. */
function Notice() {
  const notice = useLive((state) => state.now?.notice ?? null)
  if (notice === null) return null
  return (
    <aside aria-label="Notice" className="bg-accent-tint px-4 py-2 text-center text-pretty">
      {notice}
    </aside>
  )
}

/** Only who could sign in can sign out: without a token there is nothing to end. */
function SignOut() {
  const hasToken = useLive((state) => state.now?.can_cancel ?? false)
  if (!hasToken) return null
  return (
    <form method="post" action="/logout">
      <button type="submit" className="rounded-md px-2 py-1.5 text-soft hover:bg-sunken hover:text-text">
        Sign out
      </button>
    </form>
  )
}

function useTitle(page: string) {
  const level = useLive((state) => state.now?.health.level ?? 'unknown')
  useEffect(() => {
    document.title = `${SIGNS[level]}${page} – zai-proxy`
  }, [level, page])
}

/** After a step to another page the keyboard goes on in that, as it would after loading one. */
function useFocusOnArrival(main: { current: HTMLElement | null }, path: string) {
  const last = useRef(path)
  useEffect(() => {
    if (last.current === path) return
    last.current = path
    main.current?.focus({ preventScroll: true })
    window.scrollTo(0, 0)
  }, [main, path])
}
