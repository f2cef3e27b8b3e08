import type { Scope, SourceCode } from 'eslint'
import { type FunctionNode, isFunction, type Node, type NodeOf, parentOf } from './nodes.ts'

/** Returns the variable a name means at its place; undefined for globals the module does not declare. */
export function findVariable(source: SourceCode, identifier: NodeOf<'Identifier'>): Scope.Variable | undefined {
  let scope: Scope.Scope | null = source.getScope(identifier)
  while (scope !== null) {
    const found = scope.set.get(identifier.name)
    if (found !== undefined) return found.defs.length > 0 ? found : undefined
    scope = scope.upper
  }
  return undefined
}

/** Returns where a variable was imported from, and the name it has there (`default`, `*` for a namespace). */
export function findImport(variable: Scope.Variable): { module: string; name: string } | undefined {
  const definition = variable.defs[0]
  if (definition?.type !== 'ImportBinding' || definition.parent?.type !== 'ImportDeclaration') return undefined
  const module = String(definition.parent.source.value)
  const specifier = definition.node
  if (specifier.type === 'ImportDefaultSpecifier') return { module, name: 'default' }
  if (specifier.type !== 'ImportSpecifier') return { module, name: '*' }
  const { imported } = specifier
  return { module, name: imported.type === 'Identifier' ? imported.name : String(imported.value) }
}

/** Returns the function a name means, when nothing else was ever put there. */
export function findFunction(variable: Scope.Variable): FunctionNode | undefined {
  const definition = variable.defs[0]
  if (variable.defs.length !== 1 || definition === undefined) return undefined
  if (definition.type === 'FunctionName' && isFunction(definition.node)) {
    return variable.references.some((reference) => reference.isWrite()) ? undefined : definition.node
  }
  if (definition.type !== 'Variable' || definition.node.id.type !== 'Identifier') return undefined
  const init: Node | null | undefined = definition.node.init
  if (!isFunction(init)) return undefined
  return variable.references.every((reference) => !reference.isWrite() || reference.init) ? init : undefined
}

/** Returns the variable that holds a function, so that its calls can be found. */
function variableOfFunction(source: SourceCode, fn: FunctionNode): Scope.Variable | undefined {
  if (fn.type === 'FunctionDeclaration') return fn.id === null ? undefined : findVariable(source, fn.id)
  const parent = parentOf(fn)
  if (parent?.type !== 'VariableDeclarator' || parent.id.type !== 'Identifier') return undefined
  const variable = findVariable(source, parent.id)
  return variable !== undefined && findFunction(variable) === fn ? variable : undefined
}

/** Returns all calls of a function; undefined when it is exported or handed on, so that others may call it too. */
export function findAllCalls(source: SourceCode, fn: FunctionNode): NodeOf<'CallExpression'>[] | undefined {
  const variable = variableOfFunction(source, fn)
  if (variable === undefined || isExported(fn)) return undefined
  const calls: NodeOf<'CallExpression'>[] = []
  for (const reference of variable.references) {
    if (reference.init) continue
    const call = parentOf(reference.identifier as Node)
    if (call?.type !== 'CallExpression' || call.callee !== reference.identifier) return undefined
    calls.push(call)
  }
  return calls
}

function isExported(fn: FunctionNode): boolean {
  const declaration = fn.type === 'FunctionDeclaration' ? fn : parentOf(parentOf(fn) ?? fn)
  const parent = declaration && parentOf(declaration)
  return parent?.type === 'ExportNamedDeclaration' || parent?.type === 'ExportDefaultDeclaration'
}

/** Tells whether a variable belongs to the module, and so to all requests that run in it. */
export function isModuleLevel(variable: Scope.Variable): boolean {
  return variable.scope.type === 'module' || variable.scope.type === 'global'
}
