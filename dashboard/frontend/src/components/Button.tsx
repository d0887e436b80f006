import type { ComponentProps } from 'react'

const LOOKS = {
  plain: 'border-line-strong bg-card text-text hover:bg-sunken',
  primary: 'border-accent bg-accent text-on-accent hover:opacity-90',
  danger: 'border-critical bg-critical-tint text-critical hover:bg-card',
}

interface ButtonProps extends ComponentProps<'button'> {
  look?: keyof typeof LOOKS
  size?: 'small' | 'normal'
}

export function Button({ look = 'plain', size = 'normal', className = '', ...rest }: ButtonProps) {
  const room = size === 'small' ? 'px-2 py-0.5 text-xs/5' : 'px-3 py-1.5'
  return (
    <button
      type="button"
      className={`rounded-md border font-medium disabled:opacity-60 ${room} ${LOOKS[look]} ${className}`}
      {...rest}
    />
  )
}
