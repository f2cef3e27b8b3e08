/**
 * Reads comma-separated values as RFC 4180 has them: quotes around fields, doubled quotes inside, line breaks in quotes.
 *
 * @returns one list of fields per line, empty lines left out, with the number of the line it began on
 * @throws {CsvError} when a quote is not closed, or something follows a closing quote
 */
export function parseCsv(text: string): { readonly line: number; readonly fields: readonly string[] }[] {
  const rows: { line: number; fields: string[] }[] = []
  const source = text.replace(/^\uFEFF/, '')
  let at = 0
  let line = 1
  while (at < source.length) {
    const row = { line, fields: [] as string[] }
    for (;;) {
      const field = readField(source, at, line)
      row.fields.push(field.value)
      at = field.end
      line += field.breaks
      if (source[at] !== ',') break
      at += 1
    }
    if (source[at] === '\r') at += 1
    if (source[at] === '\n') at += 1
    line += 1
    if (row.fields.length > 1 || row.fields[0] !== '') rows.push(row)
  }
  return rows
}

/** A text that is no CSV, and where. */
export class CsvError extends Error {
  readonly line: number

  constructor(line: number, message: string) {
    super(message)
    this.name = 'CsvError'
    this.line = line
  }
}

/** Nothing in a book of business is as long. */
const MAX_FIELD = 1_000

interface Field {
  readonly value: string
  readonly end: number
  readonly breaks: number
}

function readField(source: string, start: number, line: number): Field {
  if (source[start] !== '"') {
    // A slice, or one long line without commas would be walked again for each of its letters.
    const length = /[,\r\n]|$/.exec(source.slice(start, start + MAX_FIELD))?.index ?? 0
    if (length === MAX_FIELD) throw new CsvError(line, `a field has ${MAX_FIELD} characters or more`)
    return { value: source.slice(start, start + length), end: start + length, breaks: 0 }
  }
  let value = ''
  for (let at = start + 1; ; ) {
    const quote = source.indexOf('"', at)
    if (quote === -1) throw new CsvError(line, 'a quote is not closed')
    value += source.slice(at, quote)
    at = quote + 1
    if (source[at] === '"') {
      value += '"'
      at += 1
      continue
    }
    if (at < source.length && !/[,\r\n]/.test(source[at] ?? ''))
      throw new CsvError(line, 'something follows a closing quote')
    return { value, end: at, breaks: value.split('\n').length - 1 }
  }
}
