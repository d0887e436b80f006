import { useMemo, useRef } from 'react'
import type uPlot from 'uplot'
import { usePlot } from '../hooks/usePlot'
import { useTheme } from '../hooks/useTheme'
import type { Values } from '../lib/chart'
import { sparklineOptions } from '../lib/plotOptions'
import { readColours } from '../lib/themeColours'

interface SparklineProps {
  times: readonly number[]
  values: Values
}

/** The course of a number that stands beside it; says nothing that the number does not, so it is hidden from readers. */
export function Sparkline({ times, values }: SparklineProps) {
  const place = useRef<HTMLDivElement>(null)
  const [theme] = useTheme()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are those of the theme
  const options = useMemo(() => sparklineOptions(readColours(['--chart-1'])), [theme])
  const data = useMemo(() => [[...times], [...values]] as uPlot.AlignedData, [times, values])
  usePlot(place, options, data, 36)
  return <div ref={place} aria-hidden="true" className="h-9 min-w-0 overflow-hidden" />
}
