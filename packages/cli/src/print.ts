import type { Io } from './command.ts'

/** Prints rows as an aligned table, or as one JSON value. */
export function printRows(
  io: Io,
  rows: readonly Readonly<Record<string, unknown>>[],
  columns: readonly string[],
): void {
  const cells = rows.map((row) => columns.map((column) => cellText(row[column])))
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const line = (values: readonly string[]) =>
    `${values
      .map((value, i) => value.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()}\n`
  io.stdout.write(line(columns))
  for (const row of cells) io.stdout.write(line(row))
}

export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value)}\n`)
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
