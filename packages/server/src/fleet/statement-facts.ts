/** What the runner has to know about a statement before it runs it, from its syntax tree. */

import type { Node } from 'libpg-query'
import type { CreatedTable, MigrationStatement } from './migration.ts'
import { calledFunctions, namesOf, nodeOf, nodesOf, stringConstant, walk } from './sql-tree.ts'

type Facts = Pick<MigrationStatement, 'needsNoTransaction' | 'creates' | 'touches' | 'concurrentIndex'>

export function factsOf(tree: Node): Facts {
  const creates = createdTable(tree)
  const index = nodeOf(tree, 'IndexStmt')
  return {
    needsNoTransaction: needsNoTransaction(tree),
    creates,
    touches: [...new Set(namedRelations(tree))].filter((name) => name !== creates?.name),
    concurrentIndex: index?.concurrent === true ? index.idxname : undefined,
  }
}

/** https://www.postgresql.org/docs/18/sql-createindex.html and the pages of the others: "cannot be executed within a transaction block". */
function needsNoTransaction(tree: Node): boolean {
  if (nodeOf(tree, 'IndexStmt')?.concurrent === true) return true
  if (nodeOf(tree, 'DropStmt')?.concurrent === true) return true
  if (nodeOf(tree, 'VacuumStmt')?.is_vacuumcmd === true) return true
  if ('AlterSystemStmt' in tree || 'CreateTableSpaceStmt' in tree || 'DropTableSpaceStmt' in tree) return true
  const reindex = nodeOf(tree, 'ReindexStmt')
  if (reindex !== undefined) {
    const concurrently = nodesOf(reindex.params, 'DefElem').some((option) => option.defname === 'concurrently')
    return concurrently || !['REINDEX_OBJECT_INDEX', 'REINDEX_OBJECT_TABLE'].includes(reindex.kind ?? '')
  }
  const cluster = nodeOf(tree, 'ClusterStmt')
  if (cluster !== undefined) return cluster.relation === undefined
  return nodesOf(nodeOf(tree, 'AlterTableStmt')?.cmds, 'AlterTableCmd').some(
    (command) => nodeOf(command.def, 'PartitionCmd')?.concurrent === true,
  )
}

function createdTable(tree: Node): CreatedTable | undefined {
  const table = nodeOf(tree, 'CreateStmt')
  const copied = nodeOf(tree, 'CreateTableAsStmt')
  const relation =
    table?.relation ??
    (copied?.objtype === 'OBJECT_TABLE' ? copied.into?.rel : undefined) ??
    nodeOf(tree, 'SelectStmt')?.intoClause?.rel
  if (relation?.relname === undefined || relation.relpersistence === 't') return undefined
  const parent = table?.partbound === undefined ? undefined : nodesOf(table.inhRelations, 'RangeVar')[0]?.relname
  return { name: relation.relname, partitionOf: parent }
}

function namedRelations(tree: Node): string[] {
  const named: string[] = []
  const queries = new Set<string>()
  walk(tree, (field, value) => {
    if (field === 'CommonTableExpr') queries.add(String(value.ctename))
    // A RangeVar is what has a name and says whether it takes in its children; the field it stands in differs.
    if (typeof value.relname === 'string' && 'relpersistence' in value) named.push(value.relname)
  })
  const dropped = nodeOf(tree, 'DropStmt')
  if (dropped?.removeType === 'OBJECT_TABLE') named.push(...subjectsOf(tree))
  return named.filter((name) => !queries.has(name))
}

/**
 * Returns the names of what a statement makes, changes or removes: tables, types, indexes by their own name.
 * Empty where there is no such thing, or it cannot be told, as for functions and DO.
 */
export function subjectsOf(tree: Node): string[] {
  const [kind, content] = Object.entries(tree)[0] ?? []
  const value = content as Readonly<Record<string, unknown>>
  const published = publishedReference(tree)
  if (published !== undefined) return [published]
  const dropped = nodeOf(tree, 'DropStmt')
  if (dropped !== undefined) {
    const onTable = ['OBJECT_TRIGGER', 'OBJECT_POLICY', 'OBJECT_RULE'].includes(dropped.removeType ?? '')
    return (dropped.objects ?? []).map((object) => objectName(object, onTable ? -2 : -1))
  }
  const comment = nodeOf(tree, 'CommentStmt')
  if (comment !== undefined)
    return [
      objectName(comment.object, comment.objtype === 'OBJECT_TABLE' || comment.objtype === 'OBJECT_TYPE' ? -1 : -2),
    ]
  if (kind === 'TruncateStmt') return nodesOf(value.relations as Node[], 'RangeVar').map((each) => each.relname ?? '')
  if (kind === 'CreateEnumStmt' || kind === 'AlterEnumStmt') return namesOf(value.typeName as Node[]).slice(-1)
  if (kind === 'CompositeTypeStmt') return relname(value.typevar)
  if (kind === 'CreateDomainStmt') return namesOf(value.domainname as Node[]).slice(-1)
  if (kind === 'CreateSeqStmt' || kind === 'AlterSeqStmt') return relname(value.sequence)
  if (kind === 'ViewStmt') return relname(value.view)
  if (kind === 'SelectStmt' || kind === 'CreateTableAsStmt') return createdTable(tree)?.name.split('\n') ?? []
  return relname(value.relation)
}

/** Returns the table of `select rowhouse.publish_reference('port')`. */
export function publishedReference(tree: Node): string | undefined {
  if (!('SelectStmt' in tree)) return undefined
  const call = calledFunctions(tree).find(({ name }) => name.join('.') === 'rowhouse.publish_reference')
  return call === undefined ? undefined : stringConstant(call.args[0])
}

function relname(value: unknown): string[] {
  const name = (value as { relname?: string } | undefined)?.relname
  return name === undefined ? [] : [name]
}

/** Name of an object as DROP and COMMENT write it: a list, a type, or a function with its arguments. */
function objectName(object: Node | undefined, place: number): string {
  const list =
    nodeOf(object, 'List')?.items ?? nodeOf(object, 'TypeName')?.names ?? nodeOf(object, 'ObjectWithArgs')?.objname
  return namesOf(list).at(place) ?? ''
}
