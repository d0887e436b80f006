/** CSS variables as they are at the moment: a canvas knows none. */
export function readColours(names: readonly string[]): (name: string) => string {
  const style = getComputedStyle(document.documentElement)
  const known = new Map(names.map((name) => [name, style.getPropertyValue(name).trim()]))
  return (name) => known.get(name) || style.getPropertyValue(name).trim() || 'gray'
}
