/** Rules about the release that still runs: between two waves, half of the fleet has the new schema and the old program. */

import type { MigrationStatement } from '../migration.ts'
import { clauseAt, namesOf, nodeOf, nodesOf, quoted, quotedList, typeText, walk } from '../sql-tree.ts'
import { subjectsOf } from '../statement-facts.ts'
import { batches, notNullFiles } from './mends.ts'
import { actions, columnConstraint, type Found, type LintContext, type Rule } from './rule.ts'

export const compatibilityRules: readonly Rule[] = [
  {
    id: 'M01',
    name: 'column-dropped',
    severity: 'error',
    title: 'Column dropped outside of the contract phase',
    why: 'The release that still runs selects and writes the column, and fails from this moment on.',
    instead: 'drop it in a file of phase contract, once no release uses it',
    *check(statement, context) {
      if (context.migration.phase === 'contract') return
      for (const { table, command } of actions(statement, context)) {
        if (command.subtype !== 'AT_DropColumn') continue
        const mend = [
          `-- rowhouse: phase contract\nalter table ${quoted(table)} drop column ${quoted(command.name ?? '')};`,
        ]
        yield { message: `${table}.${command.name} is dropped while the old release may use it`, mend }
      }
    },
  },
  {
    id: 'M02',
    name: 'relation-dropped',
    severity: 'error',
    title: 'Table, view, type or function dropped outside of the contract phase',
    why: 'The release that still runs uses it, and fails from this moment on.',
    instead: 'drop it in a file of phase contract, once no release uses it',
    *check(statement, { migration, fresh }) {
      const kind = DROPPED[nodeOf(statement.tree, 'DropStmt')?.removeType ?? '']
      if (kind === undefined || migration.phase === 'contract') return
      const names = subjectsOf(statement.tree).filter((name) => !fresh.has(name))
      if (names.length === 0) return
      const mend = [`-- rowhouse: phase contract\n${statement.text};`]
      yield { message: `${kind} ${names.join(', ')} is dropped while the old release may use it`, mend }
    },
  },
  {
    id: 'M03',
    name: 'renamed',
    severity: 'error',
    title: 'Something the program names is renamed',
    why: 'No name is right for two releases at once: one of them fails until the other is gone.',
    instead:
      'add the new column, write both, fill it, drop the old one in the contract phase; keep the names of tables',
    check: findRenames,
  },
  {
    id: 'M04',
    name: 'type-changed',
    severity: 'error',
    title: 'Type of a column changed',
    why: 'Unless the new type holds the old values as they are, the table is rewritten, with its indexes, while nobody can read it. Plans and programs that expect the old type fail besides.',
    instead: 'add a column of the new type, write both, fill it, drop the old one in the contract phase',
    check: findTypeChanges,
  },
  {
    id: 'M05',
    name: 'column-required',
    severity: 'error',
    title: 'Column added that must not be null and has no default',
    why: 'It cannot be added while there are rows, and the release that still runs does not fill it.',
    instead: 'add it nullable or with a constant default; require it when every release fills it',
    *check(statement, context) {
      for (const { table, command, column } of actions(statement, context)) {
        if (command.subtype !== 'AT_AddColumn' || columnConstraint(column, 'CONSTR_NOTNULL') === undefined) continue
        const filled = (['CONSTR_DEFAULT', 'CONSTR_IDENTITY', 'CONSTR_GENERATED'] as const).some((kind) =>
          columnConstraint(column, kind),
        )
        if (filled || column?.colname === undefined || column.colname === 'tenant_id') continue
        const type = typeText(column.typeName)
        if (/serial/.test(type)) continue
        const added = `alter table ${quoted(table)} add column ${quoted(column.colname)} ${type};`
        yield {
          message: `${table}.${column.colname} is required from the first moment on`,
          mend: [added, ...notNullFiles(table, column.colname)],
        }
      }
    },
  },
  {
    id: 'M06',
    name: 'column-loosened',
    severity: 'warning',
    title: 'NOT NULL or a default taken away outside of the contract phase',
    why: 'The release that still runs may read nulls it does not expect, or leave out a column that has no default any more.',
    instead: 'do it in a file of phase contract',
    *check(statement, context) {
      if (context.migration.phase === 'contract') return
      for (const { table, command } of actions(statement, context)) {
        const dropsDefault = command.subtype === 'AT_ColumnDefault' && command.def === undefined
        if (command.subtype !== 'AT_DropNotNull' && !dropsDefault) continue
        const what = dropsDefault ? 'default' : 'not null'
        const mend = [
          `-- rowhouse: phase contract\nalter table ${quoted(table)} alter column ${quoted(command.name ?? '')} drop ${what};`,
        ]
        yield { message: `${table}.${command.name} loses its ${what}`, mend }
      }
    },
  },
  {
    id: 'M07',
    name: 'enum-value-used-at-once',
    severity: 'error',
    title: 'Enum value used in the transaction that adds it',
    why: 'PostgreSQL refuses to use a value before the transaction that added it has ended.',
    instead: 'use it in a later file',
    *check(statement, { migration, index }) {
      if (!migration.transactional) return
      const added = migration.statements.slice(0, index).flatMap(addedValue)
      const found = new Set<string>()
      walk(statement.tree, (field, value) => {
        const text = field === 'A_Const' ? (value.sval as { sval?: string } | undefined)?.sval : undefined
        if (text !== undefined && added.includes(text) && !('AlterEnumStmt' in statement.tree)) found.add(text)
      })
      for (const value of found) {
        const rest = migration.statements.filter((each) => each !== statement).map((each) => `${each.text};`)
        yield {
          message: `"${value}" is used in the transaction that adds it`,
          mend: [rest.join('\n'), `${statement.text};`],
        }
      }
    },
  },
  {
    id: 'M08',
    name: 'truncated',
    severity: 'error',
    title: 'TRUNCATE',
    why: 'It empties the table for all tenants under a lock that stops readers, passes row-level security, and is not taken back by the next release.',
    instead: 'delete in batches what is not wanted any more',
    *check({ tree }, { fresh }) {
      const relations = nodesOf(nodeOf(tree, 'TruncateStmt')?.relations, 'RangeVar').map((each) => each.relname ?? '')
      for (const table of relations.filter((name) => !fresh.has(name))) {
        const mend = [batches((chosen) => `delete from ${quoted(table)} where ${chosen}`, table, 'true')]
        yield { message: `${table} is emptied for all tenants`, mend }
      }
    },
  },
  {
    id: 'M09',
    name: 'changed-at-once',
    severity: 'error',
    title: 'UPDATE, DELETE or MERGE over a table in one statement',
    why: 'All rows it touches stay locked until the migration ends, dead rows pile up, and one slow tenant holds up the wave.',
    instead: 'a file of its own that works in batches',
    check: findBackfills,
  },
]

const DROPPED: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'table',
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'domain',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'procedure',
  OBJECT_SEQUENCE: 'sequence',
}

/** What only the operator names. */
const UNSEEN_NAMES: ReadonlySet<string> = new Set([
  'OBJECT_INDEX',
  'OBJECT_TABCONSTRAINT',
  'OBJECT_DOMCONSTRAINT',
  'OBJECT_TRIGGER',
  'OBJECT_POLICY',
  'OBJECT_RULE',
])

function* findRenames({ tree }: MigrationStatement, { fresh, known }: LintContext): Iterable<Found> {
  const value = nodeOf(tree, 'AlterEnumStmt')
  if (value?.oldVal !== undefined) yield { message: `enum value "${value.oldVal}" becomes "${value.newVal}"` }
  const rename = nodeOf(tree, 'RenameStmt')
  const table = rename?.relation?.relname
  if (rename === undefined || UNSEEN_NAMES.has(rename.renameType ?? '') || fresh.has(table ?? '')) return
  const [from = '', to = ''] = [
    rename.subname ?? table ?? namesOf(nodeOf(rename.object, 'List')?.items).at(-1),
    rename.newname,
  ]
  const type =
    rename.renameType === 'OBJECT_COLUMN' ? known.tables.get(table ?? '')?.columns.get(from)?.type : undefined
  const message = `${rename.renameType === 'OBJECT_COLUMN' ? `${table}.${from}` : from} becomes ${to}`
  if (type === undefined || table === undefined) yield { message }
  else yield { message, mend: replaced(table, from, to, type) }
}

/** The new column beside the old one. Between the second and the third file, a release that reads the new one has to be everywhere. */
function replaced(table: string, from: string, to: string, type: string): string[] {
  const [t, a, b] = [table, from, to].map(quoted)
  return [
    `-- rowhouse: phase expand\nalter table ${t} add column ${b} ${type};`,
    batches(
      (chosen) => `update ${t} set ${b} = ${a}::${type} where ${chosen}`,
      table,
      `${b} is null and ${a} is not null`,
    ),
    `-- rowhouse: phase contract\nalter table ${t} drop column ${a};`,
  ]
}

function* findTypeChanges(statement: MigrationStatement, context: LintContext): Iterable<Found> {
  for (const { table, command, column } of actions(statement, context)) {
    if (command.subtype !== 'AT_AlterColumnType' || column === undefined) continue
    const name = command.name ?? ''
    const wanted = typeText(column.typeName)
    const before = context.known.tables.get(table)?.columns.get(name)
    if (before !== undefined && column.raw_default === undefined && holds(before.type, before.limits, wanted)) continue
    const message = `${table}.${name} becomes ${wanted}${before === undefined ? '' : `, from ${before.type}`}: the table may be rewritten`
    yield { message, mend: replaced(table, name, `${name}_next`, wanted) }
  }
}

/** True for the changes PostgreSQL makes in the catalog alone: longer varchar, varchar to text, more digits before the same point. */
function holds(from: string, limits: readonly number[], to: string): boolean {
  const [wide, narrow] = [/^(\w+)(?:\((\d+)(?:, (\d+))?\))?$/.exec(to), limits[0]]
  const base = from.replace(/\(.*/, '')
  if (from === to) return true
  if (base === 'varchar')
    return (
      to === 'text' ||
      to === 'varchar' ||
      (wide?.[1] === 'varchar' && narrow !== undefined && Number(wide[2]) >= narrow)
    )
  if (base === 'text') return to === 'varchar'
  if (base !== 'numeric' || wide?.[1] !== 'numeric') return false
  if (wide[2] === undefined) return true
  return narrow !== undefined && Number(wide[2]) >= narrow && Number(wide[3] ?? 0) === (limits[1] ?? 0)
}

function addedValue({ tree }: MigrationStatement): string[] {
  const value = nodeOf(tree, 'AlterEnumStmt')
  return value?.newVal !== undefined && value.oldVal === undefined ? [value.newVal] : []
}

function* findBackfills(statement: MigrationStatement, { fresh }: LintContext): Iterable<Found> {
  const change =
    nodeOf(statement.tree, 'UpdateStmt') ?? nodeOf(statement.tree, 'DeleteStmt') ?? nodeOf(statement.tree, 'MergeStmt')
  const table = change?.relation?.relname
  const limited = hasLimit(statement.tree)
  if (change === undefined || table === undefined || fresh.has(table) || limited || statement.shared) return
  const verb = statement.kind.replace('Stmt', '').toUpperCase()
  const mend = inBatches(statement, table)
  yield {
    message: `${verb} of ${table} changes all its rows in one transaction`,
    ...(mend === undefined ? {} : { mend: [mend] }),
  }
}

function hasLimit(tree: unknown): boolean {
  let found = false
  walk(tree, (_, value) => {
    if (value.limitCount !== undefined) found = true
  })
  return found
}

/** The same change in batches, where its text allows it: one table, no CTE, no RETURNING. */
function inBatches(statement: MigrationStatement, table: string): string | undefined {
  const update = nodeOf(statement.tree, 'UpdateStmt')
  const change = update ?? nodeOf(statement.tree, 'DeleteStmt')
  const others = update?.fromClause ?? nodeOf(statement.tree, 'DeleteStmt')?.usingClause
  if (
    change === undefined ||
    others !== undefined ||
    change.withClause !== undefined ||
    change.returningClause !== undefined
  )
    return undefined
  if (change.relation?.alias !== undefined) return undefined
  const where = /\bwhere\b([\s\S]*)$/i.exec(statement.text)?.[1]?.trim()
  if ((where !== undefined) !== (change.whereClause !== undefined) || /\bwhere\b/i.test(where ?? '')) return undefined
  if (update === undefined)
    return batches((chosen) => `delete from ${quoted(table)} where ${chosen}`, table, where ?? 'true')
  const sets = nodesOf(update.targetList, 'ResTarget').map((target) => ({
    column: target.name ?? '',
    text: clauseAt(statement, target.location ?? -1, ['where']),
  }))
  const values = sets.map(({ text }) => text.slice(text.indexOf('=') + 1).trim())
  // A row that has its new value is done; without that the loop would not end.
  const open = `(${quotedList(sets.map((each) => each.column))}) is distinct from (${values.join(', ')})`
  const condition = where === undefined ? open : `(${where}) and ${open}`
  return batches(
    (chosen) => `update ${quoted(table)} set ${sets.map((each) => each.text).join(', ')} where ${chosen}`,
    table,
    condition,
  )
}
