import type { AlterTableCmd, ColumnDef, Constraint } from 'libpg-query'
import type { KnownSchema } from '../known-schema.ts'
import type { Migration, MigrationStatement } from '../migration.ts'
import { nodeOf, nodesOf } from '../sql-tree.ts'

export type Severity = 'error' | 'warning' | 'note'

/** One question to a migration. */
export interface Rule {
  /** `M01` … Stable; never reused. M01–M09: the old release · M10–M29: locks · M30–M59: tenancy. */
  readonly id: `M${number}`
  /** Kebab-case, stable. */
  readonly name: string
  readonly severity: Severity
  /** One line, no full stop: what is not wanted. */
  readonly title: string
  /** What happens otherwise. One or two sentences. */
  readonly why: string
  /** What is done in its place, in a few words. */
  readonly instead: string
  /** Asked for every statement. */
  readonly check: (statement: MigrationStatement, context: LintContext) => Iterable<Found>
}

/** What a rule says about one place. */
export interface Found {
  /** One sentence without a full stop, naming the object. */
  readonly message: string
  /** Migration files that reach the same end safely, in their order; left out where a person has to decide. */
  readonly mend?: readonly string[]
  readonly severity?: Severity
}

export interface LintContext {
  readonly migration: Migration
  /** Place of the statement in the migration. */
  readonly index: number
  /** What was known before the statement. */
  readonly known: KnownSchema
  /** Tables this migration made before the statement: empty, and seen by nobody else yet. */
  readonly fresh: ReadonlySet<string>
  /** Lowest major of the servers the migration is for. */
  readonly lowestMajor: number
}

/** One action of ALTER TABLE on a table that was there before this migration. */
export interface TableAction {
  readonly table: string
  readonly command: AlterTableCmd
  readonly column: ColumnDef | undefined
  readonly constraint: Constraint | undefined
  /** How many actions the statement has. */
  readonly count: number
}

/** Returns the actions of an ALTER TABLE, also on tables this migration made. */
export function allActions({ tree }: MigrationStatement): TableAction[] {
  const altered = nodeOf(tree, 'AlterTableStmt')
  const table = altered?.relation?.relname
  if (altered === undefined || table === undefined) return []
  const commands = nodesOf(altered.cmds, 'AlterTableCmd')
  return commands.map((command) => ({
    table,
    command,
    column: nodeOf(command.def, 'ColumnDef'),
    constraint: nodeOf(command.def, 'Constraint'),
    count: commands.length,
  }))
}

/** Returns the actions on tables that hold rows and are read and written while the migration runs. */
export function actions(statement: MigrationStatement, { fresh }: LintContext): TableAction[] {
  return nodeOf(statement.tree, 'AlterTableStmt')?.objtype === 'OBJECT_TABLE'
    ? allActions(statement).filter((action) => !fresh.has(action.table))
    : []
}

/** Returns the constraint of a kind at a column. */
export function columnConstraint(column: ColumnDef | undefined, kind: Constraint['contype']): Constraint | undefined {
  return nodesOf(column?.constraints, 'Constraint').find((each) => each.contype === kind)
}
