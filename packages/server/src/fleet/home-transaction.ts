/** The SQL of one transaction in a home, as one text: fewer round trips are what makes a fleet fast. */

import { type AlterTableCmd, type Node, scanSync } from 'libpg-query'
import { REFERENCES } from './ledger.ts'
import { findIsolationWork, type Migration, type MigrationStatement } from './migration.ts'
import { namesOf as namesOfNodes, nodeOf, nodesOf } from './sql-tree.ts'
import { subjectsOf } from './statement-facts.ts'

/** A piece of the text, and what it is for. */
export interface Piece {
  readonly sql: string
  readonly migration: Migration | undefined
  readonly statement: MigrationStatement | undefined
}

export interface TransactionLimits {
  readonly lockTimeoutMs: number
  readonly statementTimeoutMs: number
}

/** Where statements run, and what of them was run before. */
export interface Target {
  /** '' for the shared tables. */
  readonly home: string
  readonly published: ReadonlySet<string>
  /** Nobody uses the tables yet, so nothing has to be done beside running work. */
  readonly unused: boolean
  /** The login itself is bound by no policy. */
  readonly bypasses: boolean
}

/** Begins a transaction as the owner, in which names mean the tables of the home. */
export function opening(
  { home }: Pick<Target, 'home'>,
  { lockTimeoutMs, statementTimeoutMs }: TransactionLimits,
): string {
  return `begin; set local role rowhouse_owner; set local search_path = ${searchPath(home)}; set local lock_timeout = ${lockTimeoutMs}; set local statement_timeout = ${statementTimeoutMs}`
}

/** Home names match `rowhouse.is_home` and need no quotes. Temporary tables come last: they shadow nothing. */
export function searchPath(home: string): string {
  return home === '' ? 'public, pg_temp' : `${home}, public, pg_temp`
}

/**
 * Returns the statements of migrations that run in a transaction, the protection of their tables and the ledger's lines.
 *
 * @param remembered what protected the same tables in another home, after the same migrations
 */
export function toPieces(
  migrations: readonly Migration[],
  target: Target,
  remembered: readonly string[] | undefined,
): Piece[] {
  const pieces = migrations.flatMap((migration) => statementPieces(migration, target))
  const tables = new Set(migrations.flatMap((each) => findIsolationWork(each).protect))
  if (tables.size > 0) {
    const work = `('${target.home || 'public'}', ${toArray([...tables])})`
    const again = [...(remembered ?? []), `select rowhouse.assert_walled${work}`].join('\n')
    const sql = remembered === undefined ? `select rowhouse.protect_home${work}` : again
    pieces.push({ sql, migration: migrations.length === 1 ? migrations[0] : undefined, statement: undefined })
  }
  return [...pieces, { sql: ledgerLines(migrations, target), migration: undefined, statement: undefined }]
}

function statementPieces(migration: Migration, target: Target): Piece[] {
  const pieces: Piece[] = []
  const own = expectedNames(migration)
  if (target.home !== '' && own.length > 0) {
    pieces.push({
      sql: `select rowhouse.assert_own('${target.home}', ${toArray(own)})`,
      migration,
      statement: undefined,
    })
  }
  const fresh = !target.published.has(migration.id)
  let path = target.home
  const go = (home: string) => {
    if (path === home) return
    path = home
    pieces.push({ sql: `set local search_path = ${searchPath(home)}`, migration, statement: undefined })
  }
  for (const statement of migration.statements) {
    if (statement.shared && !fresh) continue
    go(statement.shared ? '' : target.home)
    const text = target.unused ? withoutConcurrently(statement) : statement.text
    pieces.push(...withValidation(statement, text, target).map((sql) => ({ sql, migration, statement })))
  }
  if (fresh) {
    for (const name of migration.references) {
      pieces.push({ sql: publish(name), migration, statement: undefined })
    }
  }
  go(target.home)
  return pieces
}

/**
 * Returns a statement with what lets it validate a foreign key between protected tables: PostgreSQL does so by a query, which
 * the policies refuse because a migration has no tenant.
 *
 * A login that is bound by no policy runs the statement itself; it makes nothing that would then belong to it. For others
 * the policies do not bind the owner until the statement is done, for which the tables are locked against readers too.
 */
export function withValidation(statement: MigrationStatement, text: string, target: Target): string[] {
  const commands = nodesOf(nodeOf(statement.tree, 'AlterTableStmt')?.cmds, 'AlterTableCmd')
  const validating = commands.filter(isForeignKeyWork)
  if (validating.length === 0 || target.unused) return [text]
  if (target.bypasses && validating.length === commands.length) {
    return ['set local role none', text, 'set local role rowhouse_owner']
  }
  const force = (on: boolean) =>
    `select rowhouse.force_policies('${target.home || 'public'}', ${toArray(statement.touches)}, ${on})`
  return [force(false), text, force(true)]
}

function isForeignKeyWork({ subtype, def }: AlterTableCmd): boolean {
  if (subtype === 'AT_ValidateConstraint') return true
  const constraint = nodeOf(def, 'Constraint')
  return (
    subtype === 'AT_AddConstraint' && constraint?.contype === 'CONSTR_FOREIGN' && constraint.skip_validation !== true
  )
}

/** Names a statement of this migration expects in the home. */
export function expectedNames(migration: Migration): string[] {
  const made = new Set<string>()
  const expected = new Set<string>()
  const isMade = (name: string) => made.has(name) || [...made].some((table) => name.startsWith(`${table}_`))
  for (const { shared, tree, touches, creates, kind } of migration.statements) {
    if (shared) continue
    const subjects = subjectsOf(tree).filter((name) => name !== '')
    const makes = creates !== undefined || MAKES.has(kind)
    const makesNow = new Set([...(makes ? subjects : []), creates?.name, ...newNames(tree)])
    for (const name of [...touches, ...subjects]) if (!isMade(name) && !makesNow.has(name)) expected.add(name)
    for (const name of makesNow) if (name !== undefined) made.add(name)
  }
  return [...expected]
}

/** Names of indexes, functions and renamed things, which other statements of the file may use. */
function newNames(tree: Node): (string | undefined)[] {
  if ('IndexStmt' in tree) return [tree.IndexStmt.idxname]
  if ('RenameStmt' in tree) return [tree.RenameStmt.newname]
  if ('CreateFunctionStmt' in tree) return namesOfNodes(tree.CreateFunctionStmt.funcname).slice(-1)
  return []
}

/** Statements whose subject is what they make. */
const MAKES: ReadonlySet<string> = new Set([
  'CreateEnumStmt',
  'CompositeTypeStmt',
  'CreateDomainStmt',
  'CreateSeqStmt',
  'ViewStmt',
  'CreateTableAsStmt',
])

export function publish(name: string): string {
  return `select rowhouse.publish_reference(${literal(`public."${name.replaceAll('"', '""')}"`)}::regclass)`
}

/** The lines of the ledger. `now()` is when the transaction began. */
export function ledgerLines(migrations: readonly Migration[], { home, published }: Target): string {
  const line = (of: string, { id, sha256 }: Migration) =>
    `('${of}', ${literal(id)}, '${sha256}', clock_timestamp(), extract(epoch from clock_timestamp() - now())::float8 * 1000)`
  const own = migrations.map((each) => line(home, each))
  const shared = migrations.filter(({ id, statements }) => !published.has(id) && statements.some((each) => each.shared))
  const lines = [...own, ...shared.map((each) => line(REFERENCES, each))]
  return `insert into rowhouse.applied_migration (home, id, sha256, applied_at, ms) values ${lines.join(', ')}`
}

/** Statements whose work is done by a plain form, or need not be done at all, where nobody uses the tables yet. */
const PLAIN: ReadonlySet<string> = new Set(['IndexStmt', 'DropStmt', 'AlterTableStmt'])
const NEEDLESS: ReadonlySet<string> = new Set(['VacuumStmt', 'ReindexStmt', 'ClusterStmt'])
/** They may commit on their own. */
const PROCEDURAL: ReadonlySet<string> = new Set(['CallStmt', 'DoStmt'])

/** Tells whether a migration can be part of the one transaction that fills an unused home. */
export function fitsTransaction({ transactional, statements }: Migration, unused: boolean): boolean {
  if (transactional || !unused) return transactional
  return statements.every(({ kind, needsNoTransaction }) =>
    needsNoTransaction ? PLAIN.has(kind) || NEEDLESS.has(kind) : !PROCEDURAL.has(kind),
  )
}

/** CONCURRENTLY waits for every transaction of the database, and is refused inside of one. */
function withoutConcurrently({ text, kind, needsNoTransaction }: MigrationStatement): string {
  if (!needsNoTransaction) return text
  if (NEEDLESS.has(kind)) return 'select'
  const bytes = Buffer.from(text)
  for (const token of scanSync(text).tokens) {
    if (token.keywordKind > 0 && token.text.toLowerCase() === 'concurrently') bytes.fill(' ', token.start, token.end)
  }
  return bytes.toString('utf8')
}

export function literal(text: string): string {
  return text.includes('\\')
    ? `e'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`
}

function toArray(names: readonly string[]): string {
  return `array[${names.map(literal).join(', ')}]::text[]`
}
