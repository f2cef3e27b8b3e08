import type { Rule, SourceCode } from 'eslint'

/** A node of the syntax tree, with or without a known parent. */
export type Node = Parameters<SourceCode['getScope']>[0]

export type NodeOf<T extends Node['type']> = Extract<Node, { type: T }>

/** A function that is written out, in any of the three ways. */
export type FunctionNode = NodeOf<'ArrowFunctionExpression' | 'FunctionExpression' | 'FunctionDeclaration'>

/** Wrappers that change the type or the short-circuit, never the value. ESTree does not know those of TypeScript. */
const TRANSPARENT: ReadonlySet<string> = new Set([
  'ChainExpression',
  'ParenthesizedExpression',
  'TSAsExpression',
  'TSNonNullExpression',
  'TSSatisfiesExpression',
  'TSTypeAssertion',
])

/** Returns the expression inside of `as`, `!`, `satisfies` and optional chains. */
export function bare(node: Node): Node {
  let found = node
  while (TRANSPARENT.has(found.type)) found = (found as unknown as { expression: Node }).expression
  return found
}

export function parentOf(node: Node): Node | undefined {
  return (node as Partial<Rule.NodeParentExtension>).parent ?? undefined
}

/** Returns the closest parent that is not a wrapper, and the wrapped node it holds. */
export function outside(node: Node): { parent: Node | undefined; child: Node } {
  let child = node
  let parent = parentOf(child)
  while (parent !== undefined && TRANSPARENT.has(parent.type)) {
    child = parent
    parent = parentOf(child)
  }
  return { parent, child }
}

export function isFunction(node: Node | null | undefined): node is FunctionNode {
  return (
    node?.type === 'ArrowFunctionExpression' ||
    node?.type === 'FunctionExpression' ||
    node?.type === 'FunctionDeclaration'
  )
}

/** Returns the function around a node; undefined at the top of the module. */
export function enclosingFunction(node: Node): FunctionNode | undefined {
  let found = parentOf(node)
  while (found !== undefined && !isFunction(found)) found = parentOf(found)
  return found
}

/** Returns the name of a property that is known without running the code: `a.b`, `a['b']`, `{ b: 1 }`, `{ 'b': 1 }`. */
export function propertyName(node: NodeOf<'MemberExpression'> | NodeOf<'Property'>): string | undefined {
  const key = node.type === 'MemberExpression' ? node.property : node.key
  if (key.type === 'PrivateIdentifier') return key.name
  if (!node.computed && key.type === 'Identifier') return key.name
  return key.type === 'Literal' && typeof key.value === 'string' ? key.value : undefined
}

export interface MethodCall {
  /** Undefined for a call without receiver: `withTenant(…)`. */
  readonly receiver: Node | undefined
  readonly name: string
}

/** Returns what a call calls, by name; undefined for computed names and called expressions. */
export function calledMethod(call: NodeOf<'CallExpression'>): MethodCall | undefined {
  const callee = bare(call.callee)
  if (callee.type === 'Identifier') return { receiver: undefined, name: callee.name }
  if (callee.type !== 'MemberExpression') return undefined
  const name = propertyName(callee)
  return name === undefined ? undefined : { receiver: callee.object, name }
}

/** Returns the last name of an expression: `db` of `this.#db`, `rowhouse.db`, `getDb().db` and `(await db)!`. */
export function lastName(node: Node): string | undefined {
  const found = bare(node)
  if (found.type === 'Identifier') return found.name
  if (found.type === 'MemberExpression') return propertyName(found)
  if (found.type === 'AwaitExpression') return lastName(found.argument)
  if (found.type === 'CallExpression') return calledMethod(found)?.name
  return undefined
}

/** Returns the value of a property of an object literal; undefined when it is not written there. */
export function findProperty(object: NodeOf<'ObjectExpression'>, name: string): Node | undefined {
  for (const property of object.properties) {
    if (property.type === 'Property' && propertyName(property) === name) return property.value
  }
  return undefined
}

/** Visits a node and everything in it, functions included, until `visit` returns true. Returns whether it did. */
export function someInside(node: Node, visit: (node: Node) => boolean, keys: SourceCode['visitorKeys']): boolean {
  if (visit(node)) return true
  const fields = node as unknown as Record<string, unknown>
  for (const key of keys[node.type] ?? []) {
    const value = fields[key]
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child) && someInside(child, visit, keys)) return true
    }
  }
  return false
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}
