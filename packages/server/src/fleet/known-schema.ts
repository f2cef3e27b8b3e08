/** What the migrations read so far say about the schema they make: enough for the lint, no catalog. */

import type { AlterTableCmd, ColumnDef, Constraint, Node } from 'libpg-query'
import type { Migration, MigrationStatement } from './migration.ts'
import { namesOf, nodeOf, nodesOf, typeBase, typeLimits, typeText } from './sql-tree.ts'
import { subjectsOf } from './statement-facts.ts'

export interface KnownColumn {
  /** `int8`, `varchar`; the text as SQL besides. */
  readonly base: string
  readonly limits: readonly number[]
  readonly type: string
}

export interface KnownTable {
  readonly name: string
  readonly partitioned: boolean
  readonly columns: Map<string, KnownColumn>
  /** Constraints by name, and whether the rows that were there have been checked. */
  readonly constraints: Map<string, { readonly constraint: Constraint; valid: boolean }>
}

export class KnownSchema {
  readonly tables = new Map<string, KnownTable>()
  /** Tables all tenants read. */
  readonly references = new Set<string>()
  /** Table of each index, by the index's name. */
  readonly indexes = new Map<string, string>()

  addReferences(migration: Migration): void {
    for (const name of migration.references) this.references.add(name)
  }

  apply(migration: Migration): void {
    this.addReferences(migration)
    for (const statement of migration.statements) this.applyStatement(statement)
  }

  applyStatement({ tree }: MigrationStatement): void {
    const created = nodeOf(tree, 'CreateStmt')
    if (created?.relation?.relname !== undefined)
      this.#create(created.relation.relname, created.tableElts, created.partspec !== undefined)
    const altered = nodeOf(tree, 'AlterTableStmt')
    const table = this.tables.get(altered?.relation?.relname ?? '')
    if (table !== undefined) for (const command of nodesOf(altered?.cmds, 'AlterTableCmd')) alter(table, command)
    const index = nodeOf(tree, 'IndexStmt')
    if (index?.idxname !== undefined) this.indexes.set(index.idxname, index.relation?.relname ?? '')
    this.#drop(tree)
    this.#rename(tree)
  }

  /** True when a validated CHECK says that the column holds no null, so that SET NOT NULL reads no row. */
  provesNotNull(table: string, column: string): boolean {
    const constraints = [...(this.tables.get(table)?.constraints.values() ?? [])]
    return constraints.some(
      ({ constraint, valid }) =>
        valid && constraint.contype === 'CONSTR_CHECK' && saysNotNull(constraint.raw_expr, column),
    )
  }

  #create(name: string, elements: readonly Node[] | undefined, partitioned: boolean): void {
    const table: KnownTable = { name, partitioned, columns: new Map(), constraints: new Map() }
    for (const column of nodesOf(elements, 'ColumnDef')) addColumn(table, column)
    for (const constraint of nodesOf(elements, 'Constraint')) addConstraint(table, constraint)
    this.tables.set(name, table)
  }

  #drop(tree: Node): void {
    const type = nodeOf(tree, 'DropStmt')?.removeType
    for (const name of type === undefined ? [] : subjectsOf(tree)) {
      if (type === 'OBJECT_TABLE') this.tables.delete(name)
      if (type === 'OBJECT_INDEX') this.indexes.delete(name)
    }
  }

  #rename(tree: Node): void {
    const rename = nodeOf(tree, 'RenameStmt')
    const [from, to] = [rename?.relation?.relname, rename?.newname]
    const table = this.tables.get(from ?? '')
    if (from === undefined || to === undefined || table === undefined) return
    if (rename?.renameType === 'OBJECT_TABLE') {
      this.tables.delete(from)
      this.tables.set(to, { ...table, name: to })
    }
    if (rename?.renameType === 'OBJECT_COLUMN') move(table.columns, rename.subname ?? '', to)
    if (rename?.renameType === 'OBJECT_TABCONSTRAINT') move(table.constraints, rename.subname ?? '', to)
  }
}

function alter(table: KnownTable, command: AlterTableCmd): void {
  const column = nodeOf(command.def, 'ColumnDef')
  const constraint = nodeOf(command.def, 'Constraint')
  const name = command.name ?? ''
  if (command.subtype === 'AT_AddColumn' && column !== undefined) addColumn(table, column)
  if (command.subtype === 'AT_DropColumn') table.columns.delete(name)
  if (command.subtype === 'AT_AlterColumnType' && column !== undefined) addColumn(table, { ...column, colname: name })
  if (command.subtype === 'AT_AddConstraint' && constraint !== undefined) addConstraint(table, constraint)
  if (command.subtype === 'AT_DropConstraint') table.constraints.delete(name)
  const known = table.constraints.get(name)
  if (command.subtype === 'AT_ValidateConstraint' && known !== undefined) known.valid = true
}

function addColumn(table: KnownTable, { colname = '', typeName }: ColumnDef): void {
  table.columns.set(colname, { base: typeBase(typeName), limits: typeLimits(typeName), type: typeText(typeName) })
}

function addConstraint(table: KnownTable, constraint: Constraint): void {
  const name = constraint.conname ?? `#${table.constraints.size}`
  table.constraints.set(name, { constraint, valid: constraint.skip_validation !== true })
}

/** `column is not null`, alone or as one side of AND. */
function saysNotNull(expression: Node | undefined, column: string): boolean {
  const test = nodeOf(expression, 'NullTest')
  if (test !== undefined)
    return test.nulltesttype === 'IS_NOT_NULL' && namesOf(nodeOf(test.arg, 'ColumnRef')?.fields).at(-1) === column
  const both = nodeOf(expression, 'BoolExpr')
  return both?.boolop === 'AND_EXPR' && (both.args ?? []).some((side) => saysNotNull(side, column))
}

function move<V>(map: Map<string, V>, from: string, to: string): void {
  const value = map.get(from)
  if (value === undefined) return
  map.delete(from)
  map.set(to, value)
}
