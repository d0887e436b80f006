import type { ComponentProps, MouseEvent } from 'react'
import { navigate } from '../hooks/useLocation'

interface LinkProps extends ComponentProps<'a'> {
  href: string
}

/** A link to another page of the dashboard, without loading it anew. Opening it in a new tab works as ever. */
export function Link({ href, onClick, ...rest }: LinkProps) {
  function follow(event: MouseEvent<HTMLAnchorElement>) {
    onClick?.(event)
    const isOther = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey
    if (isOther || event.defaultPrevented) return
    event.preventDefault()
    navigate(href)
  }
  return <a href={href} onClick={follow} {...rest} />
}
