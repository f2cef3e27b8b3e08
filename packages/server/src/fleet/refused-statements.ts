/** What a migration of a fleet may not contain, whatever the lint is told to allow. */

import type { Node, TypeName } from 'libpg-query'
import { calledFunctions, namesOf, nodeOf, stringConstant, typeBase, walk } from './sql-tree.ts'

/** Schemas a migration may name: they mean the same for every tenant. */
const SAME_EVERYWHERE: ReadonlySet<string> = new Set(['pg_catalog', 'rowhouse', 'information_schema'])

/** Fields that hold a name as a list of strings, its schema first. */
const NAME_FIELDS = [
  'funcname',
  'names',
  'typeName',
  'objname',
  'domainname',
  'defnames',
  'opclassname',
  'opfamilyname',
  'opclass',
  'collname',
  'collation',
  'traitname',
]

const BEYOND_TENANT: Readonly<Record<string, string>> = {
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  AlterDatabaseStmt: 'ALTER DATABASE',
  AlterDatabaseSetStmt: 'ALTER DATABASE',
  CreateRoleStmt: 'CREATE ROLE',
  DropRoleStmt: 'DROP ROLE',
  AlterRoleStmt: 'ALTER ROLE',
  AlterRoleSetStmt: 'ALTER ROLE',
  GrantRoleStmt: 'GRANT of a role',
  CreateSchemaStmt: 'CREATE SCHEMA',
  DropOwnedStmt: 'DROP OWNED',
  ReassignOwnedStmt: 'REASSIGN OWNED',
}

/** Returns why a statement cannot be part of a migration, or undefined. */
export function findRefusal(tree: Node): string | undefined {
  const kind = Object.keys(tree)[0] ?? ''
  if ('TransactionStmt' in tree)
    return 'starts or ends a transaction: the fleet does that itself; take the statement out, or write "-- rowhouse: no-transaction"'
  const beyond = BEYOND_TENANT[kind]
  if (beyond !== undefined)
    return `${beyond} concerns the server or the placement, not the tables of a tenant: take it out`
  const copy = nodeOf(tree, 'CopyStmt')
  if (copy !== undefined)
    return copy.is_from === true && copy.filename === undefined && copy.is_program !== true
      ? 'COPY FROM STDIN needs data that a migration cannot carry: write INSERT statements'
      : 'COPY reads or writes files of the server: write INSERT statements'
  if (nodeOf(tree, 'VariableSetStmt')?.name === 'search_path' || setsSearchPath(tree))
    return 'sets search_path, which says in whose tables the migration runs: take it out'
  return findNamedSchema(tree)
}

function setsSearchPath(tree: Node): boolean {
  return calledFunctions(tree).some(
    ({ name, args }) => name.at(-1) === 'set_config' && stringConstant(args[0])?.toLowerCase() === 'search_path',
  )
}

/** Returns a sentence on the first name that is bound to one schema: in a tenant's own schema it means another table. */
function findNamedSchema(tree: Node): string | undefined {
  let found: string | undefined
  const judge = (schema: string | undefined, name: string) => {
    if (found !== undefined || schema === undefined || schema === '' || SAME_EVERYWHERE.has(schema)) return
    found = `names the schema of "${schema}.${name}": a tenant may live in a schema of its own; write "${name}"`
  }
  const qualified = (names: readonly string[]) => judge(names.at(-2), names.at(-1) ?? '')
  walk(tree, (field, value) => {
    if (typeof value.relname === 'string') judge(value.schemaname as string | undefined, value.relname)
    for (const name of NAME_FIELDS) if (Array.isArray(value[name])) qualified(namesOf(value[name]))
    if (field === 'A_Expr') qualified(namesOf(value.name as Node[]))
    for (const name of namesInText(field, value)) judge(...name)
    const column = field === 'ColumnRef' ? namesOf(value.fields as Node[]) : []
    if (column.length > 2) judge(column[0], column.slice(1).join('.'))
  })
  const dropped = nodeOf(tree, 'DropStmt')
  if (dropped?.removeType === 'OBJECT_SCHEMA')
    return 'DROP SCHEMA concerns the placement, not the tables of a tenant: take it out'
  if (dropped !== undefined) {
    const onTable = ['OBJECT_TRIGGER', 'OBJECT_POLICY', 'OBJECT_RULE'].includes(dropped.removeType ?? '')
    for (const object of dropped.objects ?? []) {
      const names = namesOf(nodeOf(object, 'List')?.items)
      qualified(onTable ? names.slice(0, -1) : names)
    }
  }
  qualified(
    namesOf(nodeOf(nodeOf(tree, 'RenameStmt')?.object ?? nodeOf(tree, 'AlterOwnerStmt')?.object, 'List')?.items),
  )
  const comment = nodeOf(tree, 'CommentStmt')
  if (comment !== undefined) {
    const names = namesOf(nodeOf(comment.object, 'List')?.items)
    qualified(
      comment.objtype === 'OBJECT_TABLE' || comment.objtype === 'OBJECT_VIEW' || comment.objtype === 'OBJECT_INDEX'
        ? names
        : names.slice(0, -1),
    )
  }
  const moved = nodeOf(tree, 'AlterObjectSchemaStmt')
  if (moved !== undefined)
    return `moves something into the schema "${moved.newschema ?? ''}", away from its tenant: take it out`
  return found
}

/** Functions whose argument names a relation in a string. */
const TAKES_NAME: ReadonlySet<string> = new Set([
  'nextval',
  'setval',
  'currval',
  'to_regclass',
  'pg_get_serial_sequence',
  'protect',
  'publish_reference',
])

/** Returns schema and name of `'app.port'::regclass` and `nextval('app.s')`. */
function namesInText(field: string, value: Readonly<Record<string, unknown>>): (readonly [string, string])[] {
  let text: string | undefined
  if (field === 'TypeCast' && /^reg/.test(typeBase(value.typeName as TypeName)))
    text = stringConstant(value.arg as Node)
  if (field === 'FuncCall' && TAKES_NAME.has(namesOf(value.funcname as Node[]).at(-1) ?? ''))
    text = stringConstant((value.args as Node[] | undefined)?.[0])
  const [, schema, name] = /^\s*("[^"]+"|[^".\s]+)\s*\.\s*(.+?)\s*$/.exec(text ?? '') ?? []
  return schema === undefined || name === undefined ? [] : [[schema.replaceAll('"', ''), name]]
}
