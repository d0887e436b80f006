import { type RefObject, useEffect, useRef } from 'react'
import uPlot from 'uplot'

/**
 * A uPlot inside an element, as wide as that. It is built anew when `options` is another object, gets new data otherwise.
 * `height` in CSS pixels.
 */
export function usePlot(
  place: RefObject<HTMLElement | null>,
  options: Omit<uPlot.Options, 'width' | 'height'>,
  data: uPlot.AlignedData,
  height: number,
): RefObject<uPlot | null> {
  const plot = useRef<uPlot | null>(null)
  const latest = useRef(data)
  latest.current = data

  useEffect(() => {
    const element = place.current
    if (element === null) return
    const built = new uPlot(
      { ...options, width: Math.max(1, element.clientWidth), height },
      latest.current,
      element,
    )
    plot.current = built
    const resizing = new ResizeObserver(([entry]) => {
      const width = Math.round(entry?.contentRect.width ?? 0)
      if (width > 0 && width !== built.width) built.setSize({ width, height })
    })
    resizing.observe(element)
    return () => {
      resizing.disconnect()
      built.destroy()
      plot.current = null
    }
  }, [place, options, height])

  useEffect(() => {
    if (plot.current !== null && plot.current.data !== data) plot.current.setData(data)
  }, [data])

  return plot
}
