/**
 * Rules about tenants: the shape `rowhouse.protect` asks for, and what is nobody's business but its own.
 *
 * Long because it is a table: a rule is a paragraph, and is read beside its neighbours.
 */

import type { Constraint, Node, TypeName } from 'libpg-query'
import type { Migration, MigrationStatement } from '../migration.ts'
import { namesOf, nodeOf, nodesOf, quoted, quotedList, typeBase, typeText, walk } from '../sql-tree.ts'
import { foreignKeyByTenant, provedLater, shortName } from './mends.ts'
import { allActions, columnConstraint, type Found, type LintContext, type Rule } from './rule.ts'

export const tenancyRules: readonly Rule[] = [
  {
    id: 'M30',
    name: 'table-without-tenant',
    severity: 'error',
    title: 'Table without `tenant_id uuid not null`',
    why: 'Nothing says whose row is whose, so no policy can.',
    instead:
      '`tenant_id uuid not null` in every model; `rowhouse.protect` gives it its default. A table all tenants read: `-- rowhouse: reference name`',
    check: findTenantColumn,
  },
  {
    id: 'M31',
    name: 'key-not-by-tenant',
    severity: 'error',
    title: 'Primary key, unique key, unique index or exclusion that does not start with tenant_id',
    why: 'A key is checked over the rows of all tenants: who is refused a value knows that somebody else has it.',
    instead: '`primary key (tenant_id, id)`, `unique (tenant_id, …)`',
    check: findKeys,
  },
  {
    id: 'M32',
    name: 'no-primary-key',
    severity: 'error',
    title: 'Table without a primary key',
    why: 'Its rows can neither be moved nor told apart.',
    instead: '`primary key (tenant_id, id)`',
    *check(statement, { known, migration }) {
      const table = tenantTable(statement, { known, migration })
      if (table === undefined || hasUnknownColumns(statement)) return
      const elements = nodeOf(statement.tree, 'CreateStmt')?.tableElts
      const inColumn = nodesOf(elements, 'ColumnDef').some((column) => columnConstraint(column, 'CONSTR_PRIMARY'))
      const later = migration.statements
        .flatMap(allActions)
        .some((action) => action.table === table && action.constraint?.contype === 'CONSTR_PRIMARY')
      if (inColumn || later || nodesOf(elements, 'Constraint').some((each) => each.contype === 'CONSTR_PRIMARY')) return
      const hasId = nodesOf(elements, 'ColumnDef').some((column) => column.colname === 'id')
      const mend = hasId
        ? { mend: [`${statement.text};\nalter table ${quoted(table)} add primary key (tenant_id, id);`] }
        : {}
      yield { message: `${table} has no primary key`, ...mend }
    },
  },
  {
    id: 'M33',
    name: 'foreign-key-not-by-tenant',
    severity: 'error',
    title: 'Foreign key to a tenant table without tenant_id on both sides',
    why: 'It confirms or blocks rows of other tenants.',
    instead:
      '`foreign key (tenant_id, port_id) references port (tenant_id, id)`; references to reference tables are free',
    check: findForeignKeys,
  },
  {
    id: 'M34',
    name: 'index-not-by-tenant',
    severity: 'warning',
    title: 'Index that does not start with tenant_id',
    why: 'It holds the rows of all tenants together: every search reads those of the others, too.',
    instead: '`(tenant_id, …)`; GIN and GiST with the extensions btree_gin, btree_gist',
    *check(statement, { known }) {
      const index = nodeOf(statement.tree, 'IndexStmt')
      const table = index?.relation?.relname ?? ''
      if (
        index === undefined ||
        index.unique === true ||
        known.references.has(table) ||
        !['btree', 'gin', 'gist'].includes(index.accessMethod ?? 'btree')
      )
        return
      if (nodeOf(index.indexParams?.[0], 'IndexElem')?.name === 'tenant_id') return
      const mend = withTenantFirst(statement)
      yield {
        message: `${index.idxname ?? 'an index'} on ${table} starts with another column`,
        ...(mend === undefined || index.accessMethod !== 'btree' ? {} : { mend: [mend] }),
      }
    },
  },
  {
    id: 'M35',
    name: 'work-of-protect',
    severity: 'error',
    title: 'GRANT, REVOKE, POLICY, ROW LEVEL SECURITY or OWNER',
    why: 'Isolation is made in one place. A further permissive policy opens a table, a further grant goes around it.',
    instead: 'take it out: after the migration the fleet runs `rowhouse.protect` on the tables it made or changed',
    *check(statement) {
      const { tree, kind } = statement
      const option =
        ISOLATION_STATEMENTS[kind] ??
        (nodeOf(tree, 'DropStmt')?.removeType === 'OBJECT_POLICY' ? 'DROP POLICY' : undefined)
      if (option !== undefined) yield { message: `${option} is the work of rowhouse.protect` }
      for (const { table, command } of allActions(statement)) {
        const what = ISOLATION_ACTIONS[command.subtype ?? '']
        if (what !== undefined) yield { message: `${what} on ${table} is the work of rowhouse.protect` }
      }
    },
  },
  {
    id: 'M36',
    name: 'definer-search-path',
    severity: 'error',
    title: 'SECURITY DEFINER function without a search path of its own',
    why: 'Its caller decides which tables and operators its names mean, with the rights of its owner.',
    instead: '`security invoker`, or `set search_path = pg_catalog, pg_temp` and no table of a tenant inside',
    *check({ tree }) {
      const options = nodesOf(nodeOf(tree, 'CreateFunctionStmt')?.options, 'DefElem')
      const definer = options.some(
        (option) => option.defname === 'security' && nodeOf(option.arg, 'Boolean')?.boolval === true,
      )
      const paths = options
        .map((option) => nodeOf(option.arg, 'VariableSetStmt'))
        .filter((set) => set?.name === 'search_path' && set.kind === 'VAR_SET_VALUE')
      const name = namesOf(nodeOf(tree, 'CreateFunctionStmt')?.funcname).at(-1)
      if (definer && paths.length === 0)
        yield { message: `${name}() runs as its owner with the search path of its caller` }
    },
  },
  {
    id: 'M37',
    name: 'view-as-owner',
    severity: 'error',
    title: 'View without security_invoker',
    why: 'It reads with the rights of its owner, around the policies of its tables where the owner is not bound by them.',
    instead: '`create view … with (security_invoker = true) as …`',
    *check({ tree, text }) {
      const view = nodeOf(tree, 'ViewStmt')
      if (view === undefined || view.view?.relpersistence === 't') return
      const option = nodesOf(view.options, 'DefElem').find((each) => each.defname === 'security_invoker')
      const value =
        option === undefined
          ? 'false'
          : (nodeOf(option.arg, 'String')?.sval ??
            nodeOf(option.arg, 'TypeName')
              ?.names?.map((each) => nodeOf(each, 'String')?.sval)
              .join('') ??
            'true')
      if (!['false', 'off', '0', 'no'].includes(value.toLowerCase()) && nodeOf(option?.arg, 'Integer')?.ival !== 0)
        return
      const mended =
        option === undefined && view.options === undefined
          ? text.replace(/^(create\s[\s\S]*?)\s+as\s/i, '$1 with (security_invoker = true) as ')
          : undefined
      yield {
        message: `${view.view?.relname} reads as its owner`,
        ...(mended === undefined ? {} : { mend: [`${mended};`] }),
      }
    },
  },
  {
    id: 'M38',
    name: 'materialized-view',
    severity: 'error',
    title: 'Materialized view',
    why: 'It holds what its owner once read, of all tenants, and no policy is asked when it is read.',
    instead: 'a table of the tenant that a job fills',
    *check({ tree }) {
      const made = nodeOf(tree, 'CreateTableAsStmt')
      if (made?.objtype === 'OBJECT_MATVIEW')
        yield { message: `${made.into?.rel?.relname} would hold the rows of all tenants` }
    },
  },
  {
    id: 'M39',
    name: 'tenant-named',
    severity: 'error',
    title: 'One tenant named in a migration',
    why: 'A migration runs for all tenants, in all models and environments. The id of one of them means nothing in most.',
    instead: 'a job inside of `withTenant()`, or a step of provisioning',
    *check({ tree, kind }) {
      const literal = DATA_STATEMENTS.has(kind) ? tenantLiteral(tree) : undefined
      if (literal !== undefined) yield { message: `the tenant ${literal} is named` }
    },
  },
  {
    id: 'M40',
    name: 'checks-turned-off',
    severity: 'error',
    title: 'Triggers, replication role or row security turned off',
    why: 'Foreign keys, audit and walls do not hold for what is written meanwhile, and a failure leaves them off.',
    instead: 'take it out: data that cannot be written with them on is wrong',
    *check(statement) {
      const set = nodeOf(statement.tree, 'VariableSetStmt')?.name ?? ''
      if (set === 'session_replication_role' || set === 'row_security') yield { message: `${set} is set` }
      for (const { table, command } of allActions(statement)) {
        if (/^AT_DisableTrig|^AT_DisableRule|^AT_EnableReplica/.test(command.subtype ?? ''))
          yield { message: `triggers of ${table} are turned off` }
      }
    },
  },
  {
    id: 'M41',
    name: 'session-altered',
    severity: 'error',
    title: 'Role or settings of the session changed',
    why: 'Role, lock_timeout and statement_timeout belong to the fleet: without them a migration waits in front of everybody, or makes tables of another owner. What is set without LOCAL stays for the next tenant.',
    instead: 'take it out; timeouts are options of the run. Other settings: `set local`',
    *check({ tree, kind }) {
      const set = nodeOf(tree, 'VariableSetStmt')
      const name = set?.name ?? ''
      if (kind === 'DiscardStmt' || set?.kind === 'VAR_RESET_ALL')
        yield { message: 'the settings of the session are thrown away' }
      else if (OF_THE_FLEET.has(name)) yield { message: `${name} belongs to the fleet` }
      else if (
        set !== undefined &&
        set.is_local !== true &&
        !['session_replication_role', 'row_security'].includes(name)
      )
        yield { message: `${name} is set for the session, not for the transaction`, severity: 'warning' }
    },
  },
  {
    id: 'M42',
    name: 'rows-of-nobody',
    severity: 'error',
    title: 'INSERT of constant rows into a tenant table',
    why: 'A migration runs once for all pooled tenants: the rows would belong to none of them, and new tenants would not have them.',
    instead: 'default configuration is a step of provisioning; rows all tenants read go into a reference table',
    *check({ tree, shared }, { known }) {
      const insert = nodeOf(tree, 'InsertStmt')
      const table = insert?.relation?.relname ?? ''
      const constant = (nodeOf(insert?.selectStmt, 'SelectStmt')?.valuesLists ?? []).length > 0
      if (insert !== undefined && constant && !shared && !known.references.has(table))
        yield { message: `rows are written into ${table} for no tenant` }
    },
  },
  {
    id: 'M43',
    name: 'shared-sequence',
    severity: 'error',
    title: 'serial or nextval() in a tenant table',
    why: 'Whoever reads the sequence knows how much the others write, and `rowhouse.protect` refuses it.',
    instead: '`bigint generated always as identity`, or `uuid default rowhouse.uuidv7()`',
    *check(statement, { known, migration }) {
      const table = tenantTable(statement, { known, migration })
      const made = nodesOf(table === undefined ? [] : nodeOf(statement.tree, 'CreateStmt')?.tableElts, 'ColumnDef').map(
        (column) => ({ table, column }),
      )
      const added = allActions(statement).filter(
        (action) => action.command.subtype === 'AT_AddColumn' && !known.references.has(action.table),
      )
      for (const { table: name, column } of [...made, ...added]) {
        const value = columnConstraint(column, 'CONSTR_DEFAULT')
        const fed =
          /serial/.test(typeBase(column?.typeName)) ||
          (value !== undefined && JSON.stringify(value).includes('"nextval"'))
        if (fed) yield { message: `${name}.${column?.colname} is numbered by a sequence all tenants share` }
      }
    },
  },
  {
    id: 'M44',
    name: 'unprotectable',
    severity: 'error',
    title: 'UNLOGGED table, oid column, rule, copied table or REPLICA IDENTITY',
    why: '`rowhouse.protect` refuses it: rows that a crash loses or a move leaves behind, objects without a tenant, statements rewritten behind the policies.',
    instead: 'an ordinary table; `bytea` or files for large objects; triggers for rules',
    *check(statement, context) {
      const { tree } = statement
      const relation = nodeOf(tree, 'CreateStmt')?.relation ?? nodeOf(tree, 'CreateTableAsStmt')?.into?.rel
      if (relation?.relpersistence === 'u') yield { message: `${relation.relname} is unlogged` }
      const copied =
        nodeOf(tree, 'CreateTableAsStmt')?.objtype === 'OBJECT_TABLE' ||
        nodeOf(tree, 'SelectStmt')?.intoClause !== undefined
      if (copied && statement.creates !== undefined && !context.known.references.has(statement.creates.name))
        yield { message: `${statement.creates.name} is made from a query: it has neither keys nor NOT NULL` }
      for (const { table, command } of allActions(statement)) {
        if (command.subtype === 'AT_ReplicaIdentity')
          yield { message: `${table} gets a replica identity of its own: a move takes the primary key` }
      }
      if ('RuleStmt' in tree) yield { message: `rule ${tree.RuleStmt.rulename} rewrites statements` }
      const columns = [
        ...nodesOf(nodeOf(tree, 'CreateStmt')?.tableElts, 'ColumnDef'),
        ...allActions(statement).flatMap(({ column }) => column ?? []),
      ]
      for (const column of columns)
        if (['oid', 'lo'].includes(typeBase(column.typeName)))
          yield { message: `${column.colname} holds a large object, which has no tenant` }
    },
  },
  {
    id: 'M45',
    name: 'extension-in-tenant-schema',
    severity: 'error',
    title: 'CREATE EXTENSION without IF NOT EXISTS and SCHEMA public',
    why: 'An extension exists once per database. It would land in the schema of the first tenant, and go when that tenant goes.',
    instead: '`create extension if not exists … schema public`',
    *check({ tree }) {
      const extension = nodeOf(tree, 'CreateExtensionStmt')
      if (extension === undefined) return
      const schema = nodesOf(extension.options, 'DefElem').find((option) => option.defname === 'schema')
      if (
        extension.if_not_exists === true &&
        ['public', 'pg_catalog'].includes(nodeOf(schema?.arg, 'String')?.sval ?? '')
      )
        return
      const name = extension.extname ?? ''
      yield {
        message: `${name} would belong to the first tenant's schema`,
        mend: [`create extension if not exists ${quoted(name)} schema public;`],
      }
    },
  },
  {
    id: 'M46',
    name: 'beyond-tenant',
    severity: 'error',
    title: 'Statement about the server or the database',
    why: 'It is run again for every tenant and concerns them all.',
    instead: 'do it where servers are set up',
    *check({ kind, tree }) {
      const dropped = nodeOf(tree, 'DropStmt')?.removeType === 'OBJECT_EXTENSION' ? 'DROP EXTENSION' : undefined
      const what = SERVER_STATEMENTS[kind] ?? dropped
      if (what !== undefined) yield { message: `${what} concerns more than a tenant's tables` }
    },
  },
]

const ISOLATION_STATEMENTS: Readonly<Record<string, string>> = {
  GrantStmt: 'GRANT or REVOKE',
  AlterDefaultPrivilegesStmt: 'ALTER DEFAULT PRIVILEGES',
  CreatePolicyStmt: 'CREATE POLICY',
  AlterPolicyStmt: 'ALTER POLICY',
  AlterOwnerStmt: 'OWNER TO',
}

const ISOLATION_ACTIONS: Readonly<Record<string, string>> = {
  AT_EnableRowSecurity: 'ENABLE ROW LEVEL SECURITY',
  AT_DisableRowSecurity: 'DISABLE ROW LEVEL SECURITY',
  AT_ForceRowSecurity: 'FORCE ROW LEVEL SECURITY',
  AT_NoForceRowSecurity: 'NO FORCE ROW LEVEL SECURITY',
  AT_ChangeOwner: 'OWNER TO',
}

const SERVER_STATEMENTS: Readonly<Record<string, string>> = {
  AlterSystemStmt: 'ALTER SYSTEM',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  CreateEventTrigStmt: 'CREATE EVENT TRIGGER',
  CreatePublicationStmt: 'CREATE PUBLICATION',
  AlterPublicationStmt: 'ALTER PUBLICATION',
  CreateSubscriptionStmt: 'CREATE SUBSCRIPTION',
  AlterSubscriptionStmt: 'ALTER SUBSCRIPTION',
  DropSubscriptionStmt: 'DROP SUBSCRIPTION',
  CreateForeignServerStmt: 'CREATE SERVER',
  CreateFdwStmt: 'CREATE FOREIGN DATA WRAPPER',
  CreateUserMappingStmt: 'CREATE USER MAPPING',
  CreateForeignTableStmt: 'CREATE FOREIGN TABLE',
  ImportForeignSchemaStmt: 'IMPORT FOREIGN SCHEMA',
  LoadStmt: 'LOAD',
  CheckPointStmt: 'CHECKPOINT',
  AlterExtensionStmt: 'ALTER EXTENSION',
  CreatePLangStmt: 'CREATE LANGUAGE',
}

const OF_THE_FLEET: ReadonlySet<string> = new Set([
  'role',
  'session_authorization',
  'lock_timeout',
  'statement_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
])

const DATA_STATEMENTS: ReadonlySet<string> = new Set([
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'SelectStmt',
])

const UUID = /^\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$/i

/** Returns the table a statement makes, when it is one of the tenants' and not a part of another. */
function tenantTable(
  statement: MigrationStatement,
  { known, migration }: Pick<LintContext, 'known' | 'migration'>,
): string | undefined {
  const { creates, tree } = statement
  if (creates === undefined || creates.partitionOf !== undefined || !('CreateStmt' in tree)) return undefined
  return known.references.has(creates.name) || migration.references.includes(creates.name) ? undefined : creates.name
}

/** LIKE, INHERITS and OF bring columns that are not in the text. */
function hasUnknownColumns({ tree }: MigrationStatement): boolean {
  const table = nodeOf(tree, 'CreateStmt')
  return (
    nodesOf(table?.tableElts, 'TableLikeClause').length > 0 ||
    (table?.inhRelations ?? []).length > 0 ||
    table?.ofTypename !== undefined
  )
}

function* findTenantColumn(statement: MigrationStatement, context: LintContext): Iterable<Found> {
  const table = tenantTable(statement, context)
  if (table === undefined || hasUnknownColumns(statement)) return
  const elements = nodeOf(statement.tree, 'CreateStmt')?.tableElts
  const column = nodesOf(elements, 'ColumnDef').find((each) => each.colname === 'tenant_id')
  if (column === undefined) {
    const mended = statement.text.replace(
      /\(\s*/,
      nodesOf(elements, 'ColumnDef').length > 0 ? '(tenant_id uuid not null, ' : '(tenant_id uuid not null',
    )
    yield { message: `${table} has no tenant_id`, mend: [`${mended};`] }
    return
  }
  if (typeBase(column.typeName) !== 'uuid')
    yield { message: `${table}.tenant_id is ${typeBase(column.typeName)}, wanted uuid` }
  const inKey = nodesOf(elements, 'Constraint').some(
    (each) => each.contype === 'CONSTR_PRIMARY' && namesOf(each.keys).includes('tenant_id'),
  )
  const required = columnConstraint(column, 'CONSTR_NOTNULL') ?? columnConstraint(column, 'CONSTR_PRIMARY')
  const later = context.migration.statements
    .flatMap(allActions)
    .some(
      ({ table: name, command }) =>
        name === table && command.subtype === 'AT_SetNotNull' && command.name === 'tenant_id',
    )
  if (required === undefined && !inKey && !later)
    yield {
      message: `${table}.tenant_id may be null`,
      mend: [`${statement.text};\nalter table ${quoted(table)} alter column tenant_id set not null;`],
    }
  if (columnConstraint(column, 'CONSTR_GENERATED') !== undefined)
    yield { message: `${table}.tenant_id is computed and cannot take the tenant from the context` }
}

interface PlacedConstraint {
  readonly table: string
  readonly constraint: Constraint
  readonly columns: readonly string[]
  readonly made: boolean
  /** Type of the column it stands at. */
  readonly type?: TypeName | undefined
}

/** Returns the constraints a statement makes on tenant tables, those at columns with the column they stand at. */
function constraintsOf(statement: MigrationStatement, context: LintContext): PlacedConstraint[] {
  const made = tenantTable(statement, context)
  const own =
    made === undefined
      ? []
      : (nodeOf(statement.tree, 'CreateStmt')?.tableElts ?? []).map((element) => ({ table: made, element, made: true }))
  const isReference = (table: string) =>
    context.known.references.has(table) || context.migration.references.includes(table)
  const added = allActions(statement)
    .filter(
      ({ table, command }) =>
        !isReference(table) && ['AT_AddConstraint', 'AT_AddColumn'].includes(command.subtype ?? ''),
    )
    .flatMap(({ table, command }) => (command.def === undefined ? [] : { table, element: command.def, made: false }))
  return [...own, ...added].flatMap(({ table, element, made: isNew }) => placed(table, element, isNew))
}

function placed(table: string, element: Node, made: boolean): PlacedConstraint[] {
  const column = nodeOf(element, 'ColumnDef')
  const constraint = nodeOf(element, 'Constraint')
  if (column !== undefined)
    return nodesOf(column.constraints, 'Constraint').map((each) => ({
      table,
      constraint: each,
      columns: [column.colname ?? ''],
      made,
      type: column.typeName,
    }))
  if (constraint === undefined) return []
  const first = nodeOf(nodeOf(constraint.exclusions?.[0], 'List')?.items?.[0], 'IndexElem')?.name
  const columns =
    constraint.contype === 'CONSTR_FOREIGN'
      ? namesOf(constraint.fk_attrs)
      : constraint.contype === 'CONSTR_EXCLUSION'
        ? [first ?? '']
        : namesOf(constraint.keys)
  return [{ table, constraint, columns, made }]
}

const KEY_WORDS: Readonly<Record<string, readonly [words: string, suffix: string]>> = {
  CONSTR_PRIMARY: ['primary key', 'pkey'],
  CONSTR_UNIQUE: ['unique', 'key'],
  CONSTR_EXCLUSION: ['exclude', 'excl'],
}

function* findKeys(statement: MigrationStatement, context: LintContext): Iterable<Found> {
  for (const { table, constraint, columns, made } of constraintsOf(statement, context)) {
    const [words, suffix] = KEY_WORDS[constraint.contype ?? ''] ?? []
    // A key made of an index is judged where the index is made.
    if (words === undefined || suffix === undefined || constraint.indexname !== undefined || columns[0] === 'tenant_id')
      continue
    const wanted = `(${quotedList(['tenant_id', ...columns.filter((name) => name !== 'tenant_id')])})`
    const name =
      constraint.conname ?? (suffix === 'pkey' ? shortName(table, suffix) : shortName(table, ...columns, suffix))
    if (isDroppedAgain(table, name, context.migration)) continue
    const message = `${words} of ${table} starts with ${columns[0] || 'an expression'}: wanted ${suffix === 'excl' ? 'tenant_id with =' : `${words} ${wanted}`}`
    const mended = `${statement.text};\nalter table ${quoted(table)} drop constraint ${quoted(name)}, add constraint ${quoted(name)} ${words} ${wanted};`
    yield { message, ...(suffix === 'excl' || !made ? {} : { mend: [mended] }) }
  }
  const index = nodeOf(statement.tree, 'IndexStmt')
  const table = index?.relation?.relname ?? ''
  if (index?.unique !== true || context.known.references.has(table) || context.migration.references.includes(table))
    return
  if (nodeOf(index.indexParams?.[0], 'IndexElem')?.name === 'tenant_id') return
  const mend = withTenantFirst(statement)
  yield {
    message: `unique index ${index.idxname ?? ''} on ${table} does not start with tenant_id`,
    ...(mend === undefined ? {} : { mend: [mend] }),
  }
}

function* findForeignKeys(statement: MigrationStatement, context: LintContext): Iterable<Found> {
  for (const { table, constraint, columns, made, type } of constraintsOf(statement, context)) {
    const other = constraint.pktable?.relname ?? ''
    if (
      constraint.contype !== 'CONSTR_FOREIGN' ||
      context.known.references.has(other) ||
      context.migration.references.includes(other)
    )
      continue
    const theirs = namesOf(constraint.pk_attrs)
    if (columns.includes('tenant_id') && (theirs.length === 0 || theirs[columns.indexOf('tenant_id')] === 'tenant_id'))
      continue
    const definition = foreignKeyByTenant(constraint, columns)
    const name = constraint.conname ?? shortName(table, ...columns, 'fkey')
    const added =
      type === undefined
        ? []
        : [`alter table ${quoted(table)} add column ${quoted(columns[0] ?? '')} ${typeText(type)};`]
    const mend = made
      ? [`alter table ${quoted(table)} add constraint ${quoted(name)} ${definition};`]
      : [...added, ...provedLater(table, name, definition)]
    yield {
      message: `${columns.join(', ')} of ${table} refers to ${other} without tenant_id on both sides: wanted ${definition}, or "-- rowhouse: reference ${other}"`,
      mend,
    }
  }
}

/** What counts is what the file leaves behind. */
function isDroppedAgain(table: string, name: string, migration: Migration): boolean {
  return migration.statements
    .flatMap(allActions)
    .some(
      (action) =>
        action.table === table && action.command.subtype === 'AT_DropConstraint' && action.command.name === name,
    )
}

/** CREATE INDEX with tenant_id before its other columns. */
function withTenantFirst(statement: MigrationStatement): string | undefined {
  const index = nodeOf(statement.tree, 'IndexStmt')
  const head = /^create\s[^(]*\bon\s[^(]*\(/i.exec(statement.text)?.[0]
  if (
    index === undefined ||
    head === undefined ||
    (index.indexParams ?? []).some((param) => nodeOf(param, 'IndexElem')?.name === 'tenant_id')
  )
    return undefined
  return `${head}tenant_id, ${statement.text.slice(head.length)};`
}

/** Returns the id in a statement that also speaks of tenant_id. */
function tenantLiteral(tree: unknown): string | undefined {
  let speaks = false
  let literal: string | undefined
  walk(tree, (field, value) => {
    if (field === 'ResTarget' && value.name === 'tenant_id') speaks = true
    if (field === 'ColumnRef' && namesOf(value.fields as Node[]).at(-1) === 'tenant_id') speaks = true
    const text = field === 'A_Const' ? (value.sval as { sval?: string } | undefined)?.sval : undefined
    if (text !== undefined && UUID.test(text)) literal ??= text
  })
  return speaks ? literal : undefined
}
