import { useTheme } from '../hooks/useTheme'
import { Icon } from './Icon'

export function ThemeToggle() {
  const [theme, choose] = useTheme()
  const other = theme === 'dark' ? 'light' : 'dark'
  return (
    <button
      type="button"
      onClick={() => choose(other)}
      aria-label={`Use the ${other} theme`}
      title={`Use the ${other} theme`}
      className="rounded-md p-2 text-soft hover:bg-sunken hover:text-text"
    >
      <Icon name={other} className="size-5" />
    </button>
  )
}
