import type { ASTNode } from '@marcbachmann/cel-js'
import type { Vocabulary } from './placement-rules.ts'

/** What is wrong with an expression, and where: characters from 1 on. */
export interface ExpressionFault {
  readonly at: number
  readonly message: string
}

/**
 * Functions a rule may call. Left out on purpose: `dyn`, which switches off the check of names and types; `matches`,
 * because a regular expression can take exponential time on a name chosen at sign-up.
 */
const CALLS = new Set(['has', 'size', 'int', 'double', 'string'])
const METHODS = new Set([
  ...['exists', 'exists_one', 'all', 'filter', 'map'],
  ...['size', 'startsWith', 'endsWith', 'contains', 'lowerAscii', 'upperAscii', 'trim'],
])
const LOOPS = new Set(['exists', 'exists_one', 'all', 'filter', 'map'])

/** Loops in loops multiply: two levels over 100 entries are 10,000 steps, and no rule was seen to need a third. */
const MAX_LOOP_DEPTH = 2

/**
 * Finds what the type check lets pass and a rule about placement must not do.
 *
 * The type check of CEL accepts `has(tenant.plna)` and answers false, and a label that a tenant lacks is an error when
 * the rule runs, which is at a sign-up. Both are found here, when the rules are loaded.
 *
 * @param fields  names below `tenant`
 */
export function findExpressionFault(
  root: ASTNode,
  fields: readonly string[],
  vocabulary: Vocabulary,
): ExpressionFault | undefined {
  const guarded = guardedLabels(root)
  return walk(root, 0, (node, loopDepth) => {
    const fault =
      findCallFault(node, loopDepth) ??
      findTenantFault(node, fields) ??
      findLabelFault(node, guarded, vocabulary) ??
      findWordFault(node, vocabulary)
    return fault === undefined ? undefined : { at: node.range.start + 1, message: fault }
  })
}

type Visit = (node: ASTNode, loopDepth: number) => ExpressionFault | undefined

function walk(node: ASTNode, loopDepth: number, visit: Visit): ExpressionFault | undefined {
  const fault = visit(node, loopDepth)
  if (fault !== undefined) return fault
  const depth = node.op === 'rcall' && LOOPS.has(node.args[0]) ? loopDepth + 1 : loopDepth
  for (const child of childrenOf(node)) {
    const found = walk(child, depth, visit)
    if (found !== undefined) return found
  }
  return undefined
}

function childrenOf(node: ASTNode): ASTNode[] {
  // Values of literals are leaves, and a bytes literal is an array of numbers.
  if (node.op === 'value' || node.op === 'id') return []
  return [node.args].flat(3).filter(isNode)
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value
}

function findCallFault(node: ASTNode, loopDepth: number): string | undefined {
  if (node.op !== 'call' && node.op !== 'rcall') return undefined
  const name = node.args[0]
  const known = node.op === 'call' ? CALLS : METHODS
  if (!known.has(name)) return `"${name}" may not be called in a rule; wanted ${[...CALLS, ...METHODS].join(', ')}`
  if (node.op === 'rcall' && LOOPS.has(name)) {
    if (loopDepth >= MAX_LOOP_DEPTH) return `loops are ${loopDepth + 1} deep; wanted at most ${MAX_LOOP_DEPTH}`
    const variable = node.args[2][0]
    if (variable?.op === 'id' && variable.args === 'tenant') return 'a loop may not call its variable "tenant"'
  }
  return undefined
}

/** `tenant` itself may be read by field only: under another name its fields would escape the check of names. */
function findTenantFault(node: ASTNode, fields: readonly string[]): string | undefined {
  if (node.op === '.' && isTenant(node.args[0])) {
    const field = node.args[1]
    return fields.includes(field) ? undefined : unknownField(field, fields)
  }
  if (node.op === '.') return undefined
  return childrenOf(node).some(isTenant) || isTenantAlone(node)
    ? `"tenant" is no value of its own; wanted one of ${fields.map((field) => `tenant.${field}`).join(', ')}`
    : undefined
}

function isTenantAlone(node: ASTNode): boolean {
  return isTenant(node) && node.range.start === 0 && node.range.end === node.input.trimEnd().length
}

function unknownField(field: string, fields: readonly string[]): string {
  return `unknown name "tenant.${field}"; wanted one of ${fields.map((each) => `tenant.${each}`).join(', ')}`
}

function findLabelFault(node: ASTNode, guarded: ReadonlySet<string>, vocabulary: Vocabulary): string | undefined {
  const label = labelOf(node)
  if (label !== undefined && vocabulary.labels && !vocabulary.labels.includes(label))
    return `unknown label "${label}"; the vocabulary has ${vocabulary.labels.join(', ')}`
  if (label !== undefined && !guarded.has(label))
    return `label "${label}" is read without asking whether there is one, so a tenant without it could not be placed; write has(tenant.labels.${label}) && … in front`
  if (node.op === '[]' && isField(node.args[0], 'labels') && label === undefined)
    return 'a label is read by a name that is computed; wanted a name in quotes'
  return undefined
}

/** Labels the expression asks for with `has(tenant.labels.x)` or `"x" in tenant.labels`. */
function guardedLabels(root: ASTNode): Set<string> {
  const labels = new Set<string>()
  walk(root, 0, (node) => {
    const asked = node.op === 'call' && node.args[0] === 'has' ? node.args[1][0] : undefined
    const label = asked && labelOf(asked)
    if (label !== undefined) labels.add(label)
    if (node.op === 'in' && isField(node.args[1], 'labels')) {
      const word = literal(node.args[0])
      if (word !== undefined) labels.add(word)
    }
    return undefined
  })
  return labels
}

function labelOf(node: ASTNode): string | undefined {
  if (node.op === '.' && isField(node.args[0], 'labels')) return node.args[1]
  if (node.op === '[]' && isField(node.args[0], 'labels')) return literal(node.args[1])
  return undefined
}

/** Finds a plan or profile that is compared with and not in the vocabulary. */
function findWordFault(node: ASTNode, vocabulary: Vocabulary): string | undefined {
  for (const [field, known] of [
    ['plan', vocabulary.plans],
    ['compliance', vocabulary.compliance],
  ] as const) {
    const unknown = known && comparedWords(node, field).find((word) => !known.includes(word))
    if (unknown !== undefined) return `unknown ${field} "${unknown}"; the vocabulary has ${known?.join(', ')}`
  }
  return undefined
}

function comparedWords(node: ASTNode, field: string): string[] {
  if (node.op === '==' || node.op === '!=') {
    const [left, right] = node.args
    return [
      isField(left, field) ? literal(right) : undefined,
      isField(right, field) ? literal(left) : undefined,
    ].filter((word) => word !== undefined)
  }
  if (node.op === 'in') {
    const [left, right] = node.args
    if (isField(right, field)) return [literal(left)].filter((word) => word !== undefined)
    if (isField(left, field) && right.op === 'list') return right.args.map(literal).filter((word) => word !== undefined)
  }
  if (node.op === 'rcall' && LOOPS.has(node.args[0]) && isField(node.args[1], field)) return loopWords(node)
  return []
}

/** Words the variable of a loop over the field is compared with: `tenant.compliance.exists(c, c in ['a', 'b'])`. */
function loopWords(loop: ASTNode & { op: 'rcall' }): string[] {
  const [variable, body] = loop.args[2]
  if (variable?.op !== 'id' || body === undefined) return []
  const isVariable = (node: ASTNode) => node.op === 'id' && node.args === variable.args
  const words: (string | undefined)[] = []
  walk(body, 0, (node) => {
    if (node.op === '==' || node.op === '!=' || node.op === 'in') {
      const [left, right] = node.args
      if (isVariable(left)) words.push(...(right.op === 'list' ? right.args.map(literal) : [literal(right)]))
      if (isVariable(right)) words.push(literal(left))
    }
    return undefined
  })
  return words.filter((word) => word !== undefined)
}

function isTenant(node: ASTNode): boolean {
  return node.op === 'id' && node.args === 'tenant'
}

function isField(node: ASTNode, field: string): boolean {
  return node.op === '.' && node.args[1] === field && isTenant(node.args[0])
}

function literal(node: ASTNode): string | undefined {
  return node.op === 'value' && typeof node.args === 'string' ? node.args : undefined
}
