import type { SourceCode } from 'eslint'
import { type Node, someInside } from './nodes.ts'
import { findVariable } from './variables.ts'

const TENANT = /tenant/i

/**
 * Tells whether an expression mentions a tenant: by a name, by a property, by a declared type, or one step back through
 * the variable it was put into.
 */
export function mentionsTenant(source: SourceCode, node: Node, depth = 0): boolean {
  return someInside(
    node,
    (found) => {
      if (found.type === 'PrivateIdentifier') return TENANT.test(found.name)
      if (found.type !== 'Identifier') return false
      return TENANT.test(found.name) || (depth < 3 && comesFromTenant(source, found, depth))
    },
    source.visitorKeys,
  )
}

function comesFromTenant(source: SourceCode, name: Node, depth: number): boolean {
  if (name.type !== 'Identifier') return false
  const variable = findVariable(source, name)
  const [definition] = variable?.defs ?? []
  if (definition === undefined) return false
  const annotation = (definition.name as { typeAnnotation?: Node }).typeAnnotation
  if (annotation !== undefined && TENANT.test(source.getText(annotation))) return true
  if (definition.type === 'FunctionName') return mentionsTenant(source, definition.node, depth + 1)
  const init = definition.type === 'Variable' ? definition.node.init : undefined
  return !!init && mentionsTenant(source, init, depth + 1)
}
