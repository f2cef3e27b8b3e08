/**
 * Rules about locks: what a statement keeps other sessions from doing, and for how long.
 *
 * Long because it is a table: a rule is a paragraph, and is read beside its neighbours.
 */

import { scanSync } from 'libpg-query'
import type { MigrationStatement } from '../migration.ts'
import { calledFunctions, namesOf, nodeOf, nodesOf, quoted, quotedList, typeText, walk } from '../sql-tree.ts'
import { subjectsOf } from '../statement-facts.ts'
import { batches, concurrently, definitionOf, notNullFiles, provedLater, shortName } from './mends.ts'
import { actions, columnConstraint, type Found, type LintContext, type Rule, type TableAction } from './rule.ts'

export const lockRules: readonly Rule[] = [
  {
    id: 'M10',
    name: 'index-blocks-writers',
    severity: 'error',
    title: 'CREATE INDEX without CONCURRENTLY on a table that was there before',
    why: 'Nobody can write to the table until the index is built.',
    instead:
      'build it CONCURRENTLY, in a file of its own; partitioned tables cannot: make it on each partition, then on the parent',
    *check(statement, { fresh, known }) {
      const index = nodeOf(statement.tree, 'IndexStmt')
      const table = index?.relation?.relname ?? ''
      // PostgreSQL refuses CONCURRENTLY on a partitioned table; ON ONLY builds nothing.
      if (index === undefined || index.concurrent === true || fresh.has(table) || index.relation?.inh !== true) return
      if (known.tables.get(table)?.partitioned === true || statement.shared) return
      const mend = concurrently(statement)
      yield {
        message: `${table} cannot be written to while ${index.idxname ?? 'the index'} is built`,
        ...(mend === undefined ? {} : { mend: [mend] }),
      }
    },
  },
  {
    id: 'M11',
    name: 'index-drop-blocks',
    severity: 'warning',
    title: 'DROP INDEX without CONCURRENTLY',
    why: 'It waits for every statement on the table, and everybody else waits behind it.',
    instead: 'drop it CONCURRENTLY, in a file of its own',
    *check({ tree }, { fresh, known }) {
      const drop = nodeOf(tree, 'DropStmt')
      if (drop?.removeType !== 'OBJECT_INDEX' || drop.concurrent === true) return
      const names = subjectsOf(tree).filter((name) => !fresh.has(known.indexes.get(name) ?? ''))
      if (names.length === 0) return
      yield {
        message: `index ${names.join(', ')} is dropped under a lock that stops readers`,
        mend: names.map((name) => `drop index concurrently if exists ${quoted(name)};`),
      }
    },
  },
  {
    id: 'M12',
    name: 'reindex-blocks',
    severity: 'error',
    title: 'REINDEX without CONCURRENTLY',
    why: 'Nobody can write to the table, and most readers wait, until it is done.',
    instead: 'REINDEX CONCURRENTLY, in a file of its own',
    *check({ tree, text, needsNoTransaction }, { fresh }) {
      const reindex = nodeOf(tree, 'ReindexStmt')
      const name = reindex?.relation?.relname
      if (reindex === undefined || (needsNoTransaction && name !== undefined) || fresh.has(name ?? '')) return
      const mend = /^reindex\s+(index|table)\s+(.*)$/is.exec(text)
      yield {
        message: `${name ?? 'the whole schema'} is rebuilt while writers wait`,
        ...(mend === null ? {} : { mend: [`reindex ${mend[1]} concurrently ${mend[2]};`] }),
      }
    },
  },
  {
    id: 'M13',
    name: 'not-null-scans',
    severity: 'error',
    title: 'SET NOT NULL without a validated CHECK',
    why: 'All rows are read under a lock that stops readers.',
    instead: 'CHECK … NOT VALID, VALIDATE in the next file, then SET NOT NULL, which trusts the check',
    *check(statement, context) {
      for (const { table, command } of actions(statement, context)) {
        const column = command.name ?? ''
        if (command.subtype !== 'AT_SetNotNull' || context.known.provesNotNull(table, column)) continue
        yield {
          message: `${table} is read from end to end under lock, to see that ${column} holds no null`,
          mend: notNullFiles(table, column),
        }
      }
    },
  },
  {
    id: 'M14',
    name: 'column-rewrites',
    severity: 'error',
    title: 'Column added whose value differs from row to row',
    why: 'A volatile default, a stored generated column, an identity and a serial have to be written into every row, under a lock that stops readers.',
    instead: 'add the column, then its default, then fill the old rows in batches',
    check: (statement, context) => actions(statement, context).flatMap((action) => findRewrite(action, statement)),
  },
  {
    id: 'M15',
    name: 'foreign-key-scans',
    severity: 'error',
    title: 'Foreign key added without NOT VALID',
    why: 'All rows are checked while nobody can write to either table.',
    instead: 'add it NOT VALID, VALIDATE it in the next file',
    *check(statement, context) {
      for (const { table, command, constraint } of actions(statement, context)) {
        if (
          command.subtype !== 'AT_AddConstraint' ||
          constraint?.contype !== 'CONSTR_FOREIGN' ||
          constraint.skip_validation === true
        )
          continue
        // Before 18, a foreign key of a partitioned table could not be NOT VALID.
        if (context.known.tables.get(table)?.partitioned === true && context.lowestMajor < 18) continue
        const name = constraint.conname ?? shortName(table, ...namesOf(constraint.fk_attrs), 'fkey')
        yield {
          message: `rows of ${table} are checked while nobody can write to it or ${constraint.pktable?.relname}`,
          mend: provedLater(table, name, definitionOf(statement, constraint)),
        }
      }
    },
  },
  {
    id: 'M16',
    name: 'check-scans',
    severity: 'error',
    title: 'CHECK added without NOT VALID',
    why: 'All rows are read under a lock that stops readers. A domain reads every table that uses it.',
    instead: 'add it NOT VALID, VALIDATE it in the next file',
    *check(statement, context) {
      for (const { table, command, constraint, column } of actions(statement, context)) {
        const inColumn = command.subtype === 'AT_AddColumn' ? columnConstraint(column, 'CONSTR_CHECK') : undefined
        // A new column without default holds nothing but nulls: nothing is read.
        if (inColumn !== undefined && columnConstraint(column, 'CONSTR_DEFAULT') !== undefined)
          yield { message: `rows of ${table} are read under lock to check the new ${column?.colname}` }
        if (
          command.subtype !== 'AT_AddConstraint' ||
          constraint?.contype !== 'CONSTR_CHECK' ||
          constraint.skip_validation === true
        )
          continue
        const name = constraint.conname ?? shortName(table, 'check')
        yield {
          message: `rows of ${table} are read under lock to check ${name}`,
          mend: provedLater(table, name, definitionOf(statement, constraint)),
        }
      }
      const domain = nodeOf(statement.tree, 'AlterDomainStmt')
      const check = nodeOf(domain?.def, 'Constraint')
      if (domain?.subtype !== 'C' || check === undefined || check.skip_validation === true) return
      const type = namesOf(domain.typeName).at(-1) ?? ''
      const name = quoted(check.conname ?? `${type}_check`)
      const definition = definitionOf(statement, check)
      yield {
        message: `every table with a column of ${type} is read under lock`,
        mend: [
          `alter domain ${quoted(type)} add constraint ${name} ${definition} not valid;`,
          `alter domain ${quoted(type)} validate constraint ${name};`,
        ],
      }
    },
  },
  {
    id: 'M17',
    name: 'validated-at-once',
    severity: 'error',
    title: 'VALIDATE in the transaction that adds the constraint',
    why: 'The lock of the first statement is kept while all rows are read: NOT VALID gained nothing.',
    instead: 'validate in the next file',
    *check(statement, context) {
      if (!context.migration.transactional) return
      const before = context.migration.statements.slice(0, context.index + 1)
      for (const { table, command, count } of actions(statement, context)) {
        if (command.subtype !== 'AT_ValidateConstraint') continue
        const added = before.some((each) =>
          actions(each, context).some((one) => one.table === table && one.constraint?.conname === command.name),
        )
        if (!added) continue
        const rest = context.migration.statements.filter((each) => each !== statement).map((each) => `${each.text};`)
        const mend = count === 1 ? { mend: [rest.join('\n'), `${statement.text};`] } : {}
        yield { message: `${command.name} of ${table} is validated under the lock it was added with`, ...mend }
      }
    },
  },
  {
    id: 'M18',
    name: 'key-builds-index',
    severity: 'error',
    title: 'UNIQUE, PRIMARY KEY or EXCLUDE added without USING INDEX',
    why: 'The index is built under a lock that stops readers.',
    instead: 'build a unique index CONCURRENTLY, make it the constraint in the next file; EXCLUDE has no such way',
    *check(statement, context) {
      for (const { table, command, constraint } of actions(statement, context)) {
        if (command.subtype !== 'AT_AddConstraint' || constraint?.indexname !== undefined) continue
        const kind = KEYS[constraint?.contype ?? '']
        if (kind === undefined || context.known.tables.get(table)?.partitioned === true) continue
        const message = `the index of ${constraint?.conname ?? kind} on ${table} is built while nobody can read it`
        const columns = namesOf(constraint?.keys)
        if (columns.length === 0) yield { message }
        else
          yield {
            message,
            mend: keyFromIndex(table, kind, columns, constraint?.conname, constraint?.nulls_not_distinct === true),
          }
      }
    },
  },
  {
    id: 'M19',
    name: 'locked-by-hand',
    severity: 'error',
    title: 'LOCK TABLE',
    why: 'Everybody waits from this line to the end of the migration.',
    instead: 'take it out: statements take the locks they need',
    *check({ tree }, { fresh }) {
      const tables = nodesOf(nodeOf(tree, 'LockStmt')?.relations, 'RangeVar').map((each) => each.relname ?? '')
      const waited = tables.filter((name) => !fresh.has(name))
      if (waited.length > 0) yield { message: `${waited.join(', ')} is locked to the end of the migration` }
    },
  },
  {
    id: 'M20',
    name: 'table-rewritten',
    severity: 'error',
    title: 'CLUSTER, VACUUM FULL, a storage change or REFRESH that rewrites a table',
    why: 'The table is written anew while nobody can read it.',
    instead: 'VACUUM without FULL, REFRESH CONCURRENTLY; move tables in a maintenance window of their own',
    *check(statement, context) {
      const vacuum = nodeOf(statement.tree, 'VacuumStmt')
      if (nodesOf(vacuum?.options, 'DefElem').some((option) => option.defname === 'full')) {
        const names = nodesOf(vacuum?.rels, 'VacuumRelation').map((each) => each.relation?.relname ?? '')
        yield {
          message: `${names.join(', ') || 'every table'} is rewritten by VACUUM FULL`,
          mend: [`vacuum${names.length === 0 ? '' : ` ${quotedList(names)}`};`],
        }
      }
      const cluster = nodeOf(statement.tree, 'ClusterStmt')
      if (cluster !== undefined)
        yield { message: `${cluster.relation?.relname ?? 'every table'} is rewritten by CLUSTER` }
      const refresh = nodeOf(statement.tree, 'RefreshMatViewStmt')
      if (refresh !== undefined && refresh.concurrent !== true && refresh.skipData !== true)
        yield { message: `${refresh.relation?.relname} cannot be read while it is refreshed` }
      for (const { table, command } of actions(statement, context)) {
        if (REWRITES.has(command.subtype ?? '')) yield { message: `${table} is rewritten` }
      }
    },
  },
  {
    id: 'M21',
    name: 'many-tables-locked',
    severity: 'warning',
    title: 'Several tables locked against readers in one transaction',
    why: 'The first one stays locked while the last one is waited for, and two such sessions wait for each other.',
    instead: 'one file for each table',
    *check(statement, context) {
      if (!context.migration.transactional) return
      const locked = (each: MigrationStatement) => lockedTables(each, context)
      const before = new Set(context.migration.statements.slice(0, context.index).flatMap(locked))
      const now = locked(statement).filter((name) => !before.has(name))
      if (before.size + now.length < 2 || now.length === 0 || before.size > 1) return
      const mend = context.migration.statements.map((each) => `${each.text};`)
      yield {
        message: `${[...before, ...now].join(' and ')} are locked together`,
        ...(before.size > 0 ? { mend } : {}),
      }
    },
  },
  {
    id: 'M22',
    name: 'partition-detached-under-lock',
    severity: 'error',
    title: 'DETACH PARTITION without CONCURRENTLY',
    why: 'Nobody can read the parent table, with all its partitions, until it is done.',
    instead: 'DETACH PARTITION … CONCURRENTLY, in a file of its own',
    *check(statement, context) {
      for (const { table, command } of actions(statement, context)) {
        const part = nodeOf(command.def, 'PartitionCmd')
        if (command.subtype !== 'AT_DetachPartition' || part?.concurrent === true) continue
        const name = part?.name?.relname ?? ''
        yield {
          message: `${table} cannot be read while ${name} is detached`,
          mend: [`alter table ${quoted(table)} detach partition ${quoted(name)} concurrently;`],
        }
      }
    },
  },
  {
    id: 'M23',
    name: 'not-repeatable',
    severity: 'warning',
    title: 'Statement outside of a transaction that cannot be run twice',
    why: 'A run that is cut off behind it starts with it again, and fails because its work is done.',
    instead: 'IF NOT EXISTS, IF EXISTS',
    *check({ tree, text }, { migration }) {
      if (migration.transactional) return
      const made = /^create\s+(?:unique\s+)?(?:index(?:\s+concurrently)?|table|sequence)\s+(?!if\s)/i.exec(text)?.[0]
      const dropped = /^drop\s+(?:index(?:\s+concurrently)?|table|view|type|sequence)\s+(?!if\s)/i.exec(text)?.[0]
      const repeatable =
        nodeOf(tree, 'IndexStmt')?.if_not_exists ??
        nodeOf(tree, 'CreateStmt')?.if_not_exists ??
        nodeOf(tree, 'DropStmt')?.missing_ok
      const head = made ?? dropped
      if (repeatable === true || head === undefined) return
      const named = nodeOf(tree, 'IndexStmt')?.idxname ?? (made === undefined || !('IndexStmt' in tree))
      const mend =
        named === false || named === undefined
          ? undefined
          : `${head.trimEnd()} if ${made === undefined ? '' : 'not '}exists ${text.slice(head.length)};`
      yield {
        message: `"${head.trim()}" fails when it is run again${mend === undefined ? ': the index has no name' : ''}`,
        ...(mend === undefined ? {} : { mend: [`-- rowhouse: no-transaction\n${mend}`] }),
      }
    },
  },
  {
    id: 'M24',
    name: 'cascade',
    severity: 'warning',
    title: 'DROP or TRUNCATE … CASCADE',
    why: 'It takes along what this file does not name: views, foreign keys and, with TRUNCATE, the rows of other tables.',
    instead: 'name what goes, in the order it can go',
    *check(statement) {
      const cascade = 'DROP_CASCADE'
      const dropped =
        nodeOf(statement.tree, 'DropStmt')?.behavior === cascade ||
        nodeOf(statement.tree, 'TruncateStmt')?.behavior === cascade
      const command = nodesOf(nodeOf(statement.tree, 'AlterTableStmt')?.cmds, 'AlterTableCmd').some(
        (each) => each.behavior === cascade,
      )
      if (dropped || command)
        yield {
          message: 'CASCADE takes along what the file does not name',
          mend: [`${statement.text.replace(/\s+cascade\b/gi, '')};`],
        }
    },
  },
  {
    id: 'M25',
    name: 'name-too-long',
    severity: 'warning',
    title: 'Name longer than 63 bytes',
    why: 'PostgreSQL cuts it off and says so in a notice nobody reads; two such names can become one.',
    instead: 'a shorter name',
    *check({ text }) {
      // The parser cuts names off as the server does: only the text still has them. Most statements need no second look.
      if (!/[^\s"'(),;.]{16,}|"[^"]{16,}"/.test(text)) return
      const names = scanSync(text).tokens.filter((token) => token.tokenName === 'IDENT' && token.end - token.start > 63)
      for (const name of new Set(names.map((token) => token.text.replace(/^"(.*)"$/s, '$1').replaceAll('""', '"')))) {
        const size = Buffer.byteLength(name)
        if (size > 63) yield { message: `"${name}" has ${size} bytes: PostgreSQL keeps 63` }
      }
    },
  },
  {
    id: 'M27',
    name: 'newer-than-fleet',
    severity: 'error',
    title: 'Something the oldest server of the fleet does not know',
    why: 'The migration runs on some servers and fails on the others, in the middle of a wave.',
    instead: 'write it for the oldest major, or upgrade first',
    *check({ tree }, { lowestMajor }) {
      for (const [since, what] of newerThings(tree)) {
        if (since > lowestMajor) yield { message: `${what} needs PostgreSQL ${since}, the fleet has ${lowestMajor}` }
      }
    },
  },
  {
    id: 'M28',
    name: 'partitioned-concurrently',
    severity: 'error',
    title: 'CREATE INDEX CONCURRENTLY on a partitioned table',
    why: 'PostgreSQL refuses it.',
    instead: 'CREATE INDEX … ON ONLY the parent, CONCURRENTLY on each partition, then ATTACH PARTITION',
    *check({ tree }, { known }) {
      const index = nodeOf(tree, 'IndexStmt')
      const table = index?.relation?.relname ?? ''
      if (index?.concurrent === true && known.tables.get(table)?.partitioned === true)
        yield { message: `${table} is partitioned: its index cannot be built concurrently` }
    },
  },
  {
    id: 'M29',
    name: 'not-examined',
    severity: 'note',
    title: 'DO block',
    why: 'What it does is decided when it runs; the lint does not look into it.',
    instead: 'plain statements, where they will do',
    *check({ tree }, { migration }) {
      if ('DoStmt' in tree && migration.transactional)
        yield { message: 'the statements in this block are not examined' }
    },
  },
]

const KEYS: Readonly<Record<string, string>> = {
  CONSTR_UNIQUE: 'unique',
  CONSTR_PRIMARY: 'primary key',
  CONSTR_EXCLUSION: 'exclude',
}

const REWRITES: ReadonlySet<string> = new Set([
  'AT_SetTableSpace',
  'AT_SetLogged',
  'AT_SetUnLogged',
  'AT_SetAccessMethod',
])

/** ALTER TABLE actions that let readers, or readers and writers, go on: https://www.postgresql.org/docs/18/sql-altertable.html */
const MILD: ReadonlySet<string> = new Set([
  'AT_ValidateConstraint',
  'AT_SetStatistics',
  'AT_ClusterOn',
  'AT_DropCluster',
  'AT_SetOptions',
  'AT_ResetOptions',
  'AT_SetRelOptions',
  'AT_ResetRelOptions',
  'AT_AttachPartition',
  'AT_EnableTrig',
  'AT_DisableTrig',
  'AT_EnableTrigAll',
  'AT_DisableTrigAll',
])

/** Functions that give every row of one statement the same value, of those that defaults are made of. */
const SAME_FOR_ALL: ReadonlySet<string> = new Set([
  'now',
  'transaction_timestamp',
  'statement_timestamp',
  'current_setting',
  'current_database',
  'current_schema',
  'version',
  'lower',
  'upper',
  'concat',
  'format',
  'md5',
  'sha256',
  'encode',
  'decode',
  'length',
  'round',
  'abs',
  'floor',
  'ceil',
  'date_trunc',
  'timezone',
  'to_char',
  'to_date',
  'to_timestamp',
  'make_interval',
  'make_date',
  'make_timestamptz',
  'jsonb_build_object',
  'json_build_object',
  'jsonb_build_array',
  'json_build_array',
  'array_fill',
  'repeat',
  'btrim',
  'numrange',
  'int4range',
  'int8range',
  'daterange',
  'tsrange',
  'tstzrange',
  'current_tenant_id',
  'current_actor',
  'current_units',
])

function findRewrite({ table, command, column }: TableAction, statement: MigrationStatement): Found[] {
  if (command.subtype !== 'AT_AddColumn' || column?.colname === undefined) return []
  const name = column.colname
  if (columnConstraint(column, 'CONSTR_GENERATED') !== undefined) {
    // Virtual columns are computed when they are read.
    return /\bvirtual\b/i.test(statement.text) || !/\bstored\b/i.test(statement.text)
      ? []
      : [{ message: `${table} is rewritten to store ${name}` }]
  }
  const type = typeText(column.typeName)
  if (columnConstraint(column, 'CONSTR_IDENTITY') !== undefined || /serial/.test(type))
    return [{ message: `${table} is rewritten to number its rows in ${name}` }]
  const value = columnConstraint(column, 'CONSTR_DEFAULT')
  const volatile = calledFunctions(value?.raw_expr).find((call) => !SAME_FOR_ALL.has(call.name.at(-1) ?? ''))
  if (value === undefined || volatile === undefined) return []
  const [t, c] = [quoted(table), quoted(name)]
  const expression = defaultText(statement, value.location ?? -1)
  const message = `${table} is rewritten: ${volatile.name.join('.')}() differs from row to row, or is not known not to`
  if (expression === '') return [{ message }]
  const first = `alter table ${t} add column ${c} ${type};\nalter table ${t} alter column ${c} set default ${expression};`
  const fill = batches((chosen) => `update ${t} set ${c} = ${expression} where ${chosen}`, table, `${c} is null`)
  const required = columnConstraint(column, 'CONSTR_NOTNULL') === undefined ? [] : notNullFiles(table, name)
  return [{ message, mend: [first, fill, ...required] }]
}

/** A call, as written behind DEFAULT; empty for expressions it would have to guess the end of. */
function defaultText(statement: MigrationStatement, position: number): string {
  const text = Buffer.from(statement.text)
    .subarray(position - statement.byteOffset)
    .toString('utf8')
  return (
    /^default\s+((?:[\w.]+)\((?:[^()]|\([^()]*\))*\))(?=\s*(?:$|,|not\s+null|null|check|unique|references|primary))/i.exec(
      text,
    )?.[1] ?? ''
  )
}

function keyFromIndex(
  table: string,
  kind: string,
  columns: readonly string[],
  name: string | undefined,
  nullsEqual: boolean,
): string[] {
  const key = quoted(name ?? (kind === 'unique' ? shortName(table, ...columns, 'key') : shortName(table, 'pkey')))
  return [
    `create unique index concurrently if not exists ${key} on ${quoted(table)} (${quotedList(columns)})${nullsEqual ? ' nulls not distinct' : ''};`,
    `alter table ${quoted(table)} add constraint ${key} ${kind} using index ${key};`,
  ]
}

function lockedTables(statement: MigrationStatement, context: LintContext): string[] {
  if (statement.shared) return []
  const { tree } = statement
  const altered = actions(statement, context).filter(
    ({ command, constraint }) => !MILD.has(command.subtype ?? '') && constraint?.contype !== 'CONSTR_FOREIGN',
  )
  const dropped =
    nodeOf(tree, 'DropStmt')?.removeType === 'OBJECT_TABLE' || 'TruncateStmt' in tree ? subjectsOf(tree) : []
  const renamed = nodeOf(tree, 'RenameStmt')?.relation?.relname
  return [
    ...new Set([...altered.map((each) => each.table), ...dropped, ...(renamed === undefined ? [] : [renamed])]),
  ].filter((name) => !context.fresh.has(name))
}

/** What came with 16 and later, of what migrations use. */
function newerThings(tree: unknown): readonly (readonly [since: number, what: string])[] {
  const found: (readonly [number, string])[] = []
  walk(tree, (field, value) => {
    const called = field === 'FuncCall' ? namesOf(value.funcname as Parameters<typeof namesOf>[0]) : []
    if (called.at(-2) !== 'rowhouse' && ['uuidv7', 'uuidv4'].includes(called.at(-1) ?? ''))
      found.push([18, `${called.at(-1)}()`])
    if (called.at(-1) === 'any_value') found.push([16, 'any_value()'])
    if (value.generated_kind === 'v') found.push([18, 'a virtual generated column'])
    if (value.without_overlaps === true || value.fk_with_period === true) found.push([18, 'WITHOUT OVERLAPS'])
    if (value.contype === 'CONSTR_NOTNULL' && value.skip_validation === true) found.push([18, 'NOT NULL … NOT VALID'])
    if (['CONSTR_CHECK', 'CONSTR_FOREIGN'].includes(String(value.contype)) && value.is_enforced !== true)
      found.push([18, 'NOT ENFORCED'])
    if (field === 'JsonTable') found.push([17, 'JSON_TABLE'])
    if (field === 'MergeStmt' && (value.returningClause ?? value.returningList) !== undefined)
      found.push([17, 'MERGE … RETURNING'])
  })
  return found
}
