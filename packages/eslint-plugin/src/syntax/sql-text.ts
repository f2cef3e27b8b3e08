import type { SourceCode } from 'eslint'
import { bare, type Node } from './nodes.ts'
import { findVariable } from './variables.ts'

/** Stands for a piece that is not known; no SQL keyword, and nothing inside of a string. */
const HOLE = '$0'

/** Constants of constants of constants: beyond this a text counts as not known. */
const MAX_DEPTH = 8

/** Returns the text of an expression as far as the file shows it, with a hole for each piece it does not show. */
export function readSqlText(source: SourceCode, node: Node, depth = 0): string {
  const found = bare(node)
  if (depth > MAX_DEPTH) return HOLE
  const read = (part: Node) => readSqlText(source, part, depth + 1)
  if (found.type === 'Literal') return typeof found.value === 'string' ? found.value : String(found.value)
  if (found.type === 'TemplateLiteral') {
    return found.quasis
      .flatMap(({ value }, index) => {
        const part = found.expressions[index]
        return [value.cooked ?? value.raw, ...(part === undefined ? [] : [read(part)])]
      })
      .join('')
  }
  if (found.type === 'BinaryExpression' && found.operator === '+' && found.left.type !== 'PrivateIdentifier') {
    return read(found.left) + read(found.right)
  }
  if (found.type === 'Identifier') {
    const definition = findVariable(source, found)?.defs[0]
    if (definition?.type !== 'Variable' || definition.node.id.type !== 'Identifier') return HOLE
    return definition.node.init ? read(definition.node.init) : HOLE
  }
  return HOLE
}
