import type { Io } from './command.ts'
import { toned } from './terminal.ts'

/** Prints rows as an aligned table, figures to the right. */
export function printRows(
  io: Io,
  rows: readonly Readonly<Record<string, unknown>>[],
  columns: readonly string[],
): void {
  const cells = rows.map((row) => columns.map((column) => cellText(row[column])))
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const figures = columns.map((column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'))
  const line = (values: readonly string[]) =>
    values
      .map((value, i) => (figures[i] ? value.padStart(widths[i] ?? 0) : value.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  io.stdout.write(`${toned(io, io.stdout, 'dim', line(columns))}\n`)
  for (const row of cells) io.stdout.write(`${line(row)}\n`)
}

export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value)}\n`)
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
