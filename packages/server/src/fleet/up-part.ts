import type { FolderFormat } from './folder-format.ts'

/** The part of a file that takes a schema forward. */
export interface UpPart {
  readonly text: string
  readonly firstLine: number
}

/** How node-pg-migrate reads its own files: https://salsita.github.io/node-pg-migrate/migrations/ */
const UP = /^[^\S\n]*--[\s-]*up\s+migration.*$/im
const DOWN = /^[^\S\n]*--[\s-]*down\s+migration.*$/im

/** Down parts of other tools. Run as part of the file they would undo what the file did. */
const FOREIGN_DOWN = /^[^\S\n]*--\s*(migrate:down|\+goose\s+down|\+migrate\s+down|\/\/@undo|@undo)\b.*$/im

export function hasUpOrDown(text: string): boolean {
  return UP.test(text) || DOWN.test(text)
}

/** Returns the up part of a file, or why there is none. */
export function upPartOf(text: string, format: FolderFormat): UpPart | string {
  if (format === 'drizzle') return { text: withBreakpoints(text), firstLine: 1 }
  const foreign = FOREIGN_DOWN.exec(text)
  if (foreign !== null)
    return `"${foreign[0].trim()}" begins a part that takes the schema back: put it into another file`
  if (format === 'node-pg-migrate') return cut(text)
  const down = DOWN.exec(text)
  return down === null
    ? { text, firstLine: 1 }
    : `"${down[0].trim()}" begins a part that takes the schema back: read the folder as node-pg-migrate`
}

function cut(text: string): UpPart {
  const up = UP.exec(text)?.index
  const down = DOWN.exec(text)?.index
  const start = up !== undefined && down !== undefined && down < up ? up : 0
  const end = down !== undefined && down > start ? down : text.length
  return { text: text.slice(start, end), firstLine: text.slice(0, start).split('\n').length }
}

/** drizzle-kit separates statements by a comment; some of them have no semicolon. The same length, so that positions stay. */
function withBreakpoints(text: string): string {
  return text.replaceAll('--> statement-breakpoint', ';-- statement-breakpoint')
}
