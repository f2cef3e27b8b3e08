import { createHash } from 'node:crypto'
import { hasSqlDetails, loadModule, parseSync, type RawStmt } from 'libpg-query'
import { MigrationError } from 'rowhouse'
import { type DirectiveFault, type Directives, readDirectives } from './directives.ts'
import type { Allowance, Migration, MigrationStatement } from './migration.ts'
import { findRefusal } from './refused-statements.ts'
import { factsOf, publishedReference, subjectsOf } from './statement-facts.ts'
import { withoutSchema } from './without-schema.ts'

/** The up part of a file, not yet parsed. */
export interface MigrationSource {
  readonly id: string
  readonly number: string
  readonly name: string
  readonly file: string
  /** Text of the up part, with line ends as `\n`. */
  readonly text: string
  /** Line of the file that the text starts at. @defaultValue 1 */
  readonly firstLine?: number
  /** Schema to take off names, for tools that write it everywhere: `public`. */
  readonly droppedSchema?: string | undefined
}

/**
 * Splits the up part of a file into statements and checks that the fleet can run it.
 *
 * @param shared names of reference tables, and what belongs to them, of earlier files; those of this file are added
 * @throws {MigrationError} `ERR_MIGRATION_INVALID` with every fault found, each with file, line and column
 */
export async function parseMigration(source: MigrationSource, shared: Set<string> = new Set()): Promise<Migration> {
  await loadModule()
  const faults: string[] = []
  const migration = tryParse(source, shared, faults)
  if (migration === undefined) throw invalid(faults)
  return migration
}

/** As `parseMigration`, but collects faults, so that a folder names all of its own at once. Needs `loadModule()` first. */
export function tryParse(source: MigrationSource, shared: Set<string>, faults: string[]): Migration | undefined {
  const places = new Places(source)
  const before = faults.length
  const report = (byteOffset: number, message: string) => faults.push(`${places.at(byteOffset)}: ${message}`)
  const text = source.droppedSchema === undefined ? source.text : withoutSchema(source.text, source.droppedSchema)
  const parsed = parse(text, source, faults, places)
  if (parsed === undefined) return undefined
  const wrong: DirectiveFault[] = []
  const directives = readDirectives(text, wrong)
  for (const { byteOffset, message } of wrong) report(byteOffset, message)
  const published = parsed.flatMap(({ stmt }) => (stmt === undefined ? [] : (publishedReference(stmt) ?? [])))
  const references = [...new Set([...directives.references, ...published])]
  for (const name of references) shared.add(name)
  const bytes = Buffer.from(text)
  const statements = parsed.flatMap((raw) => toStatement(raw, bytes, source, shared, places) ?? [])
  if (statements.length === 0) report(0, 'there is no statement in it')
  for (const statement of statements) {
    const refusal = findRefusal(statement.tree)
    if (refusal !== undefined) report(statement.byteOffset, refusal)
  }
  const alone = statements.filter((each) => each.needsNoTransaction)
  const transactional = !directives.noTransaction && alone.length < statements.length
  const [first] = alone
  if (transactional && first !== undefined)
    report(
      first.byteOffset,
      'cannot run in a transaction, the other statements of the file do: give it a file of its own',
    )
  if (faults.length > before) return undefined
  return {
    id: source.id,
    number: source.number,
    name: source.name,
    file: source.file,
    sha256: createHash('sha256').update(source.text).digest('hex'),
    phase: directives.phase,
    transactional,
    statements,
    references,
    allowances: directives.allows.map((allow) => toAllowance(allow, statements, places)),
  }
}

/** Makes the one error for everything that is wrong with a folder. */
export function invalid(faults: readonly string[]): MigrationError {
  const shown = faults.slice(0, MOST_FAULTS).map((fault) => `\n  ${fault}`)
  const more = faults.length > MOST_FAULTS ? `\n  … and ${faults.length - MOST_FAULTS} more` : ''
  return new MigrationError(
    'ERR_MIGRATION_INVALID',
    `Cannot read the migrations: mend these first${shown.join('')}${more}`,
  )
}

/** More would scroll the first ones, which often explain the others, out of sight. */
const MOST_FAULTS = 50

function parse(text: string, source: MigrationSource, faults: string[], places: Places): RawStmt[] | undefined {
  if (text.trim() === '') {
    faults.push(`${source.file}: the file is empty`)
    return undefined
  }
  try {
    return parseSync(text).stmts ?? []
  } catch (error) {
    if (hasSqlDetails(error) && error.sqlDetails !== undefined) {
      const position = error.sqlDetails.cursorPosition
      // The parser counts characters here and bytes everywhere else.
      const byteOffset = Buffer.byteLength([...text].slice(0, position).join(''))
      faults.push(`${places.at(byteOffset)}: ${explain(text, byteOffset, error.message)}`)
    } else {
      faults.push(
        `${source.file}: PostgreSQL's parser gave up (${error instanceof Error ? error.message : error}): split the file`,
      )
    }
    return undefined
  }
}

/** Says what a syntax error means where psql would have taken the same text. */
function explain(text: string, byteOffset: number, message: string): string {
  const bytes = Buffer.from(text)
  const [before, here] = [bytes.subarray(0, byteOffset).toString('utf8'), bytes.subarray(byteOffset).toString('utf8')]
  if (/\bcopy\b[^;]*\bfrom\s+stdin\b[^;]*;\s*$/i.test(before))
    return 'COPY FROM STDIN needs data that a migration cannot carry: write INSERT statements'
  if (here.startsWith('\\')) return `"${/^\\\S*/.exec(here)?.[0] ?? '\\'}" is a command of psql, not SQL: take it out`
  if (/^:['"]?[a-z_]/i.test(here)) return 'variables of psql are not SQL: write the value'
  return message
}

function toStatement(
  raw: RawStmt,
  bytes: Buffer,
  source: MigrationSource,
  shared: Set<string>,
  places: Places,
): MigrationStatement | undefined {
  const tree = raw.stmt
  if (tree === undefined) return undefined
  const start = raw.stmt_location ?? 0
  const end = raw.stmt_len === undefined || raw.stmt_len === 0 ? bytes.length : start + raw.stmt_len
  const kind = Object.keys(tree)[0] ?? ''
  if ('CreateSchemaStmt' in tree && tree.CreateSchemaStmt.schemaname === source.droppedSchema) return undefined
  const subjects = subjectsOf(tree)
  const isShared = subjects.length > 0 && subjects.every((name) => shared.has(name))
  if (isShared && 'IndexStmt' in tree && tree.IndexStmt.idxname !== undefined) shared.add(tree.IndexStmt.idxname)
  const text = bytes.subarray(start, end).toString('utf8').trimEnd()
  return { text, line: places.line(start), byteOffset: start, kind, tree, ...factsOf(tree), shared: isShared }
}

function toAllowance(
  allow: Directives['allows'][number],
  statements: readonly MigrationStatement[],
  places: Places,
): Allowance {
  const { rule, reason, byteOffset } = allow
  return { rule, reason, line: places.line(byteOffset), statement: subject(byteOffset, statements, places) }
}

/** Before the first statement: the whole file. Behind or inside a statement: that one. Else the one that follows. */
function subject(byteOffset: number, statements: readonly MigrationStatement[], places: Places): number | undefined {
  const next = statements.findIndex((each) => each.byteOffset > byteOffset)
  if (next === 0) return undefined
  const last = next === -1 ? statements.length - 1 : next - 1
  const previous = statements[last]
  if (previous === undefined || next === -1) return last
  const end = previous.byteOffset + Buffer.byteLength(previous.text)
  return byteOffset < end || places.line(byteOffset) === places.line(end) ? last : next
}

/** Turns positions of the parser, which are UTF-8 bytes, into lines and columns a person can go to. */
class Places {
  readonly #file: string
  readonly #firstLine: number
  readonly #bytes: Buffer
  readonly #starts: readonly number[]

  constructor({ file, text, firstLine = 1 }: MigrationSource) {
    this.#file = file
    this.#firstLine = firstLine
    this.#bytes = Buffer.from(text)
    const starts = [0]
    for (let at = this.#bytes.indexOf(10); at !== -1; at = this.#bytes.indexOf(10, at + 1)) starts.push(at + 1)
    this.#starts = starts
  }

  line(byteOffset: number): number {
    return this.#row(byteOffset) + this.#firstLine
  }

  at(byteOffset: number): string {
    const start = this.#starts[this.#row(byteOffset)] ?? 0
    const column = [...this.#bytes.subarray(start, byteOffset).toString('utf8')].length + 1
    return `${this.#file}:${this.line(byteOffset)}:${column}`
  }

  #row(byteOffset: number): number {
    let [low, high] = [0, this.#starts.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#starts[middle] ?? 0) <= byteOffset) low = middle
      else high = middle - 1
    }
    return low
  }
}
