import { Fragment, type MouseEvent, type ReactNode, useId } from 'react'
import { Icon } from './Icon'

export interface Column<Row> {
  key: string
  head: ReactNode
  cell: (row: Row) => ReactNode
  align?: 'end'
  /** Classes of heading and cells: `max-sm:hidden` for what a phone has no room for. */
  className?: string
  /** Its cells need no heading to be understood: where the table is folded, none is put before them. */
  isPlain?: boolean
  isSortable?: boolean
}

export interface Sorting {
  key: string
  order: 'asc' | 'desc'
  onSort: (key: string) => void
}

/** Rows that open into more, one or none at a time. */
export interface Opening<Row> {
  openKey: string | null
  onToggle: (key: string) => void
  detail: (row: Row) => ReactNode
  /** What a screen reader says of the button: "Details of …". */
  label: (row: Row) => string
}

interface DataTableProps<Row> {
  /** What the table shows; read out, not seen. */
  caption: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  rowKey: (row: Row) => string
  sorting?: Sorting
  opening?: Opening<Row>
  /** Sums, below the rows. */
  footer?: ReactNode
  /** Makes each row a block where the table's container is narrower than this. */
  folding?: '@max-6xl:folded' | '@max-md:folded'
}

/** A table that scrolls sideways by itself, also with the keyboard, where it is wider than its place. */
export function DataTable<Row>({
  caption,
  columns,
  rows,
  rowKey,
  sorting,
  opening,
  footer,
  folding,
}: DataTableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable without a mouse
    <section className="@container -mx-2 overflow-x-auto" aria-label={caption} tabIndex={0}>
      <table className={`w-full border-collapse ${folding ?? ''}`}>
        <caption className="sr-only">{caption}</caption>
        <thead>
          <tr className="border-b border-line text-left text-xs text-soft">
            {opening && (
              <th scope="col" className="w-8">
                <span className="sr-only">Details</span>
              </th>
            )}
            {columns.map((column) => (
              <HeadCell key={column.key} column={column} sorting={sorting} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <BodyRow key={rowKey(row)} row={row} id={rowKey(row)} columns={columns} opening={opening} />
          ))}
        </tbody>
        {footer !== undefined && <tfoot className="border-t border-line font-medium">{footer}</tfoot>}
      </table>
    </section>
  )
}

/** The name of a column's cells, for where no heading stands above them. */
export function cellName<Row>({ head, isPlain = false }: Column<Row>): string | undefined {
  return typeof head === 'string' && !isPlain ? head : undefined
}

function place<Row>({ align, className = '' }: Column<Row>): string {
  return `px-2 ${align === 'end' ? 'text-right' : ''} ${className}`
}

interface HeadCellProps<Row> {
  column: Column<Row>
  sorting: Sorting | undefined
}

function HeadCell<Row>({ column, sorting }: HeadCellProps<Row>) {
  const look = `${place(column)} pb-1.5 font-medium whitespace-nowrap`
  if (!sorting || !column.isSortable) {
    return (
      <th scope="col" className={look}>
        {column.head}
      </th>
    )
  }
  const isSorted = sorting.key === column.key
  return (
    <th
      scope="col"
      className={look}
      aria-sort={isSorted ? (sorting.order === 'asc' ? 'ascending' : 'descending') : 'none'}
    >
      <button
        type="button"
        onClick={() => sorting.onSort(column.key)}
        className="relative font-medium hover:text-text"
      >
        {column.head}
        {isSorted && (
          // In the gap between two columns, so that no column is wider for it.
          <span
            aria-hidden="true"
            className={`absolute px-0.5 text-accent ${column.align === 'end' ? 'right-full' : 'left-full'}`}
          >
            {sorting.order === 'asc' ? '↑' : '↓'}
          </span>
        )}
      </button>
    </th>
  )
}

/** Whether a click opens the row: not if it was on a link or a button in it, or ended a selection of text. */
function isPlainClick({ target }: MouseEvent): boolean {
  const isInControl = target instanceof Element && target.closest('a, button') !== null
  return !isInControl && (window.getSelection()?.isCollapsed ?? true)
}

interface BodyRowProps<Row> {
  row: Row
  id: string
  columns: readonly Column<Row>[]
  opening: Opening<Row> | undefined
}

function BodyRow<Row>({ row, id, columns, opening }: BodyRowProps<Row>) {
  const detail = useId()
  const isOpen = opening?.openKey === id
  return (
    <Fragment>
      {/* The button does the same, for the keyboard too. */}
      <tr
        onClick={opening && ((event) => isPlainClick(event) && opening.onToggle(id))}
        className={`border-b border-line/60 align-top last:border-0 hover:bg-page ${opening ? 'cursor-pointer' : ''}`}
      >
        {opening && (
          <td className="py-1.5 pl-2">
            <button
              type="button"
              aria-expanded={isOpen}
              aria-controls={isOpen ? detail : undefined}
              aria-label={opening.label(row)}
              onClick={() => opening.onToggle(id)}
              className="rounded p-0.5 text-soft hover:text-text"
            >
              <Icon name="open" className={`size-4 transition-transform ${isOpen ? 'rotate-90' : ''}`} />
            </button>
          </td>
        )}
        {columns.map((column) => (
          <td key={column.key} data-name={cellName(column)} className={`${place(column)} py-1.5`}>
            {column.cell(row)}
          </td>
        ))}
      </tr>
      {isOpen && (
        <tr id={detail} className="border-b border-line/60 bg-page">
          <td colSpan={columns.length + 1} className="px-2 py-3">
            {opening?.detail(row)}
          </td>
        </tr>
      )}
    </Fragment>
  )
}
