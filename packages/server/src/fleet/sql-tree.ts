/** Reading the syntax tree of libpg-query: walking, names, and the text a node came from. */

import { type Node, scanSync, type TypeName } from 'libpg-query'
import type { MigrationStatement } from './migration.ts'

type KeysOf<T> = T extends unknown ? keyof T : never
/** Name of a node of the tree, e.g. `ColumnDef`. */
export type NodeKind = KeysOf<Node>
export type NodeOf<K extends NodeKind> = Extract<Node, Record<K, unknown>>[K]

/** Returns the content of a node when it is of that kind. */
export function nodeOf<K extends NodeKind>(node: Node | undefined, kind: K): NodeOf<K> | undefined {
  return node !== undefined && kind in node ? (node as unknown as Record<K, NodeOf<K>>)[kind] : undefined
}

/** Returns the contents of all nodes of one kind in a list. */
export function nodesOf<K extends NodeKind>(list: readonly Node[] | undefined, kind: K): NodeOf<K>[] {
  return (list ?? []).flatMap((node) => nodeOf(node, kind) ?? [])
}

/** Returns the strings of a list, e.g. the columns of a key. */
export function namesOf(list: readonly Node[] | undefined): string[] {
  return nodesOf(list, 'String').map((each) => each.sval ?? '')
}

/**
 * Calls back for every object of the tree, outermost first, with the field it stands in.
 *
 * Fields of a fixed type carry no name of their kind in this format (`relation`, `typeName`), so visitors look at the
 * field or at the shape.
 */
export function walk(tree: unknown, visit: (field: string, value: Readonly<Record<string, unknown>>) => void): void {
  if (Array.isArray(tree)) {
    for (const each of tree) walk(each, visit)
    return
  }
  if (typeof tree !== 'object' || tree === null) return
  for (const [field, value] of Object.entries(tree)) {
    if (typeof value !== 'object' || value === null) continue
    if (!Array.isArray(value)) visit(field, value as Record<string, unknown>)
    walk(value, visit)
  }
}

/** Returns the qualified names of all functions a tree calls, e.g. `['rowhouse', 'protect']`. */
export function calledFunctions(tree: unknown): { readonly name: readonly string[]; readonly args: readonly Node[] }[] {
  const calls: { name: readonly string[]; args: readonly Node[] }[] = []
  walk(tree, (field, value) => {
    if (field !== 'FuncCall') return
    calls.push({ name: namesOf(value.funcname as Node[]), args: (value.args as Node[] | undefined) ?? [] })
  })
  return calls
}

/** Returns the text of a string constant, also below a cast such as `'port'::regclass`. */
export function stringConstant(node: Node | undefined): string | undefined {
  const cast = nodeOf(node, 'TypeCast')
  if (cast !== undefined) return stringConstant(cast.arg)
  const constant = nodeOf(node, 'A_Const')
  return constant?.sval === undefined ? undefined : (constant.sval.sval ?? '')
}

/** Returns the name of a type without the schema the parser puts before its own: `int8`, `varchar`, `status`. */
export function typeBase(type: TypeName | undefined): string {
  return namesOf(type?.names).at(-1) ?? ''
}

/** Returns the whole numbers in the parentheses of a type: `numeric(10,2)` → `[10, 2]`. */
export function typeLimits(type: TypeName | undefined): number[] {
  return nodesOf(type?.typmods, 'A_Const').map((each) => each.ival?.ival ?? 0)
}

/** Writes a type back as SQL. */
export function typeText(type: TypeName | undefined): string {
  const limits = typeLimits(type)
  const names = namesOf(type?.names)
  const name = names[0] === 'pg_catalog' ? (names[1] ?? '') : names.map(quoted).join('.')
  return `${name}${limits.length === 0 ? '' : `(${limits.join(', ')})`}${'[]'.repeat(type?.arrayBounds?.length ?? 0)}`
}

/** Quotes an identifier where PostgreSQL needs it, and only there. */
export function quoted(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/.test(name)) {
    const keyword = scanSync(name).tokens[0]?.keywordName
    if (keyword === 'NO_KEYWORD' || keyword === 'UNRESERVED_KEYWORD') return name
  }
  return `"${name.replaceAll('"', '""')}"`
}

/** Quotes a list of columns: `tenant_id, "order"`. */
export function quotedList(names: readonly string[]): string {
  return names.map(quoted).join(', ')
}

/**
 * Returns the text of a clause: from a node's position to the next comma on its level, the end of the statement, or one
 * of the words in `until`. A position outside of the statement yields an empty text.
 */
export function clauseAt(statement: MigrationStatement, position: number, until: readonly string[] = []): string {
  const bytes = Buffer.from(statement.text)
  const start = position - statement.byteOffset
  if (start < 0 || start >= bytes.length) return ''
  let depth = 0
  for (const token of scanSync(statement.text).tokens) {
    if (token.start < start) continue
    if (token.text === '(' || token.text === '[') depth += 1
    if (token.text === ')' || token.text === ']') depth -= 1
    const ends = depth < 0 || (depth === 0 && (token.text === ',' || until.includes(token.text.toLowerCase())))
    if (ends) return bytes.subarray(start, token.start).toString('utf8').trim()
  }
  return bytes.subarray(start).toString('utf8').trim()
}
