/**
 * Tells where a piece of text comes from, without types and without leaving the file.
 *
 * What can be followed: constants, literals, arrays and objects of them, `join`, `map` and their kin, `push`, `+=`,
 * destructuring, local functions and what all of their callers pass. Everything else is unknown.
 */

import type { Scope, SourceCode } from 'eslint'
import {
  bare,
  calledMethod,
  enclosingFunction,
  type FunctionNode,
  isFunction,
  lastName,
  type Node,
  type NodeOf,
  parentOf,
  propertyName,
  someInside,
} from './nodes.ts'
import { findAllCalls, findFunction, findImport, findVariable } from './variables.ts'

/** `fixed`: written in the code, or a number. `spliced`: text with a piece put into it that is not fixed. */
export type Origin = 'fixed' | 'spliced' | 'unknown'

export interface TextOriginOptions {
  /** Names of functions and variables whose text is safe inside SQL, besides those that say so. */
  readonly safeNames?: readonly string[]
}

/** Functions that quote, of `pg`, `pg-format` and most others, and variables called like their result. */
const QUOTED = /^(?:quote|escape)(?:d|Ident|Identifier|Literal|Name|Id)?s?$|^(?:quoted|escaped)[A-Z_]/

const NUMBERS: ReadonlySet<string> = new Set(['Number', 'parseInt', 'parseFloat', 'BigInt', 'Boolean'])
const NUMBER_METHODS: ReadonlySet<string> = new Set(['push', 'unshift', 'indexOf', 'findIndex', 'toFixed', 'getTime'])
const TEXT_METHODS: ReadonlySet<string> = new Set([
  'trim',
  'trimStart',
  'trimEnd',
  'toLowerCase',
  'toUpperCase',
  'toString',
  'slice',
  'substring',
  'repeat',
  'at',
])
const REPLACING: ReadonlySet<string> = new Set(['replace', 'replaceAll', 'concat', 'padStart', 'padEnd'])
const SAME_ELEMENTS: ReadonlySet<string> = new Set([
  'filter',
  'slice',
  'sort',
  'toSorted',
  'reverse',
  'toReversed',
  'flat',
  'values',
])
/** Methods that call a function with each element and its index. */
const EACH: ReadonlySet<string> = new Set(['map', 'flatMap', 'forEach', 'filter', 'some', 'every', 'find'])

/** Deeper chains are cut off as unknown: no hand-written code has them, and generated code must not stall the linter. */
const MAX_DEPTH = 40

/** Bounds the steps for one text: constants that double each other would take 2ⁿ of them. */
const MAX_STEPS = 5_000

const ARITHMETIC: ReadonlySet<string> = new Set(['-', '*', '/', '%', '**', '|', '&', '^', '<<', '>>', '>>>'])

export class TextOrigins {
  readonly #source: SourceCode
  readonly #safeNames: ReadonlySet<string>
  /** Nodes being judged: whoever meets one again is in a circle, which adds nothing of its own. */
  readonly #open = new Set<unknown>()
  #steps = 0

  constructor(source: SourceCode, { safeNames = [] }: TextOriginOptions = {}) {
    this.#source = source
    this.#safeNames = new Set(safeNames)
  }

  /** Judges an expression that is used as text. */
  of(node: Node): Origin {
    return this.#guard(node, () => this.#judge(bare(node)))
  }

  #guard(key: unknown, judge: () => Origin): Origin {
    if (this.#open.size === 0) this.#steps = 0
    if (this.#open.has(key)) return 'fixed'
    if (this.#open.size > MAX_DEPTH || ++this.#steps > MAX_STEPS) return 'unknown'
    this.#open.add(key)
    try {
      return judge()
    } finally {
      this.#open.delete(key)
    }
  }

  #judge(node: Node): Origin {
    switch (node.type) {
      case 'Literal':
        return 'fixed'
      case 'TemplateLiteral':
        return node.expressions.every((part) => this.of(part) === 'fixed') ? 'fixed' : 'spliced'
      case 'BinaryExpression':
        return this.#ofOperator(node)
      case 'UnaryExpression':
      case 'UpdateExpression':
        return 'fixed'
      case 'ConditionalExpression':
        return worst([this.of(node.consequent), this.of(node.alternate)])
      case 'LogicalExpression':
        return worst([this.of(node.left), this.of(node.right)])
      case 'Identifier':
        return this.#ofName(node)
      case 'MemberExpression':
        return this.#ofMember(node)
      case 'CallExpression':
        return this.#ofCall(node)
      case 'ArrayExpression':
        return this.#elements(node)
      case 'ObjectExpression':
        return worst(node.properties.map((each) => (each.type === 'Property' ? this.of(each.value) : 'unknown')))
      default:
        return 'unknown'
    }
  }

  #ofOperator(node: NodeOf<'BinaryExpression'>): Origin {
    if (node.operator !== '+') return ARITHMETIC.has(node.operator) ? 'fixed' : 'unknown'
    if (node.left.type === 'PrivateIdentifier') return 'unknown'
    return worst([this.of(node.left), this.of(node.right)]) === 'fixed' ? 'fixed' : 'spliced'
  }

  #ofName(node: NodeOf<'Identifier'>): Origin {
    if (node.name === 'undefined' || this.#isSafeName(node.name)) return 'fixed'
    const variable = findVariable(this.#source, node)
    return variable === undefined ? 'unknown' : this.#guard(variable, () => this.#ofVariable(variable))
  }

  #isSafeName(name: string | undefined): boolean {
    return name !== undefined && (QUOTED.test(name) || this.#safeNames.has(name))
  }

  #ofVariable(variable: Scope.Variable): Origin {
    const [definition] = variable.defs
    if (variable.defs.length !== 1 || definition === undefined) return 'unknown'
    // What another file exports under a name for constants is taken for one.
    if (definition.type === 'ImportBinding') return isConstantName(findImport(variable)?.name) ? 'fixed' : 'unknown'
    const writes = variable.references.filter((reference) => reference.isWrite() && !reference.init)
    const origins = writes.map((reference) => this.#ofWrite(reference))
    if (definition.type === 'Parameter')
      origins.push(this.#ofParameter(definition.node as FunctionNode, definition.name))
    else if (definition.type === 'Variable') origins.push(this.#ofDeclarator(definition.node, definition.name))
    else return 'unknown'
    return worst(origins)
  }

  #ofWrite({ identifier, writeExpr }: Scope.Reference): Origin {
    const parent = parentOf(identifier as Node)
    if (parent?.type === 'UpdateExpression') return 'fixed'
    // The loop's own variable is written by the loop, which the declarator answers for.
    if (parent?.type === 'VariableDeclarator') return 'fixed'
    if (parent?.type !== 'AssignmentExpression' || parent.left !== identifier || !writeExpr) return 'unknown'
    const origin = this.of(writeExpr as Node)
    return parent.operator === '+=' && origin !== 'fixed' ? 'spliced' : origin
  }

  #ofDeclarator(declarator: NodeOf<'VariableDeclarator'>, name: NodeOf<'Identifier'>): Origin {
    const loop = parentOf(parentOf(declarator) ?? declarator)
    const isLoop =
      (loop?.type === 'ForOfStatement' || loop?.type === 'ForInStatement') && loop.left === parentOf(declarator)
    if (isLoop)
      return this.#ofPattern(declarator.id, name, loop.type === 'ForOfStatement' ? 'element' : 'key', loop.right)
    if (!declarator.init) return 'fixed'
    return this.#ofPattern(declarator.id, name, 'whole', declarator.init)
  }

  /** Judges what a name in a pattern receives from a value, or from the elements or keys of one. */
  #ofPattern(pattern: Node, name: Node, from: 'whole' | 'element' | 'key', value: Node): Origin {
    if (pattern === name) return from === 'whole' ? this.of(value) : this.#elements(value)
    if (from !== 'whole') return this.#elements(value)
    return worst(alternatives(value).map((each) => this.#ofPart(pattern, name, each)))
  }

  /** A part taken from a literal is judged alone, else the whole of what is known. */
  #ofPart(pattern: Node, name: Node, value: Node): Origin {
    if (pattern.type === 'ArrayPattern' && value.type === 'ArrayExpression') {
      const index = (pattern.elements as (Node | null)[]).indexOf(name)
      const element = index < 0 ? undefined : value.elements[index]
      if (element && element.type !== 'SpreadElement') return this.of(element)
    }
    const known = value.type === 'ArrayExpression' || value.type === 'ObjectExpression' || value.type === 'Identifier'
    return known ? this.#elements(value) : 'unknown'
  }

  #ofParameter(fn: FunctionNode, name: NodeOf<'Identifier'>): Origin {
    const index = fn.params.findIndex((parameter) => holds(parameter, name))
    const parameter = fn.params[index]
    if (parameter === undefined || parameter.type === 'RestElement') return 'unknown'
    const fallback = parameter.type === 'AssignmentPattern' ? this.of(parameter.right) : 'fixed'
    const pattern = parameter.type === 'AssignmentPattern' ? parameter.left : parameter
    if (pattern === name && isLiteralType(name)) return fallback
    const each = parentOf(fn)
    if (each?.type === 'CallExpression') return worst([fallback, this.#ofCallback(each, fn, index)])
    const calls = findAllCalls(this.#source, fn)
    if (calls === undefined || calls.length === 0 || pattern !== name) return 'unknown'
    return worst([fallback, ...calls.map((call) => this.#ofArgument(call, index))])
  }

  /** What a caller hands over is only followed to tell constants: text it spliced is reported where it did. */
  #ofArgument(call: NodeOf<'CallExpression'>, index: number): Origin {
    if (call.arguments.slice(0, index + 1).some(({ type }) => type === 'SpreadElement')) return 'unknown'
    const argument = call.arguments[index]
    return argument === undefined ? 'fixed' : this.of(argument)
  }

  #ofCallback(call: NodeOf<'CallExpression'>, fn: FunctionNode, index: number): Origin {
    const called = calledMethod(call)
    if (called?.receiver === undefined) return 'unknown'
    if (called.name === 'from' && call.arguments[1] === fn) return index === 1 ? 'fixed' : 'unknown'
    if (!EACH.has(called.name) || call.arguments[0] !== fn) return 'unknown'
    return index === 0 ? this.#elements(called.receiver) : 'fixed'
  }

  #ofMember(node: NodeOf<'MemberExpression'>): Origin {
    const name = propertyName(node)
    if (name === 'length' || name === 'size' || this.#isSafeName(name)) return 'fixed'
    if (node.object.type === 'Super') return 'unknown'
    const root = bare(node.object)
    if (root.type !== 'Identifier' && root.type !== 'MemberExpression' && root.type !== 'ObjectExpression')
      return 'unknown'
    return this.#elements(root)
  }

  #ofCall(node: NodeOf<'CallExpression'>): Origin {
    const called = calledMethod(node)
    if (called === undefined) return 'unknown'
    const { receiver, name } = called
    if (this.#isSafeName(name) || NUMBER_METHODS.has(name)) return 'fixed'
    if (receiver === undefined) return this.#ofFunctionCall(node, name)
    if (lastName(receiver) === 'Math' || (lastName(receiver) === 'Number' && name.startsWith('parse'))) return 'fixed'
    if (name === 'join') return this.#ofJoin(node, receiver)
    if (TEXT_METHODS.has(name)) return this.of(receiver)
    if (doublesQuotes(node, name)) return 'fixed'
    if (REPLACING.has(name)) {
      const origin = this.of(receiver)
      const isFixed = node.arguments.every(
        (argument) => argument.type !== 'SpreadElement' && this.of(argument) === 'fixed',
      )
      return origin === 'fixed' && !isFixed ? 'spliced' : origin
    }
    return 'unknown'
  }

  #ofJoin(node: NodeOf<'CallExpression'>, list: Node): Origin {
    const [separator] = node.arguments
    const origin = this.#elements(list)
    const isFixed = separator === undefined || this.of(separator) === 'fixed'
    // A list written here that holds one unknown piece is text with a piece put into it.
    return !isFixed || (origin === 'unknown' && this.#isWrittenOut(list)) ? 'spliced' : origin
  }

  #isWrittenOut(list: Node): boolean {
    const node = bare(list)
    if (node.type !== 'Identifier') return node.type === 'ArrayExpression'
    const definition = findVariable(this.#source, node)?.defs[0]
    return definition?.type === 'Variable' && definition.node.init?.type === 'ArrayExpression'
  }

  #ofFunctionCall(node: NodeOf<'CallExpression'>, name: string): Origin {
    const [first] = node.arguments
    if (NUMBERS.has(name)) return 'fixed'
    if (name === 'String' && first !== undefined) return this.of(first)
    const callee = bare(node.callee)
    const variable = callee.type === 'Identifier' ? findVariable(this.#source, callee) : undefined
    const fn = variable && findFunction(variable)
    return fn === undefined || fn.async || fn.generator ? 'unknown' : this.#guard(fn, () => this.#ofResult(fn))
  }

  #ofResult(fn: FunctionNode): Origin {
    if (fn.body.type !== 'BlockStatement') return this.of(fn.body)
    const origins: Origin[] = []
    someInside(
      fn.body,
      (node) => {
        if (node.type === 'ReturnStatement' && node.argument && enclosingFunction(node) === fn) {
          origins.push(this.of(node.argument))
        }
        return false
      },
      this.#source.visitorKeys,
    )
    return worst(origins)
  }

  /** Judges the elements of a list, or the values of an object, as one. */
  #elements(list: Node): Origin {
    const node = bare(list)
    if (node.type === 'ArrayExpression') {
      return worst(
        node.elements.map((element) => {
          if (element === null) return 'fixed'
          return element.type === 'SpreadElement' ? this.#elements(element.argument) : this.#value(element)
        }),
      )
    }
    if (node.type === 'ObjectExpression') {
      return worst(
        node.properties.map((each) =>
          each.type === 'SpreadElement' ? this.#elements(each.argument) : this.#value(each.value),
        ),
      )
    }
    if (node.type === 'CallExpression') return this.#ofListCall(node)
    if (node.type === 'ConditionalExpression')
      return worst([this.#elements(node.consequent), this.#elements(node.alternate)])
    if (node.type === 'MemberExpression') return this.#ofMember(node)
    if (node.type !== 'Identifier') return 'unknown'
    const variable = findVariable(this.#source, node)
    return variable === undefined ? 'unknown' : this.#guard(variable, () => this.#ofList(variable))
  }

  #value(node: Node): Origin {
    const found = bare(node)
    return found.type === 'ArrayExpression' || found.type === 'ObjectExpression'
      ? this.#elements(found)
      : this.of(found)
  }

  #ofListCall(node: NodeOf<'CallExpression'>): Origin {
    const called = calledMethod(node)
    const [first, second] = node.arguments
    if (called?.receiver === undefined) return 'unknown'
    if (lastName(called.receiver) === 'Object' && first !== undefined) return this.#elements(first)
    if (lastName(called.receiver) === 'Array' && called.name === 'from' && isFunction(second))
      return this.#ofResult(second)
    if ((called.name === 'map' || called.name === 'flatMap') && isFunction(first)) return this.#ofResult(first)
    if (called.name === 'entries' || SAME_ELEMENTS.has(called.name)) return this.#elements(called.receiver)
    return 'unknown'
  }

  /** A list is what it was made with and what was pushed onto it. */
  #ofList(variable: Scope.Variable): Origin {
    const [definition] = variable.defs
    if (definition?.type !== 'Variable' || variable.references.some((each) => each.isWrite() && !each.init)) {
      return this.#ofVariable(variable)
    }
    const { init, id } = definition.node
    if (!init || id.type !== 'Identifier') return this.#ofVariable(variable)
    return worst([this.#elements(init), ...variable.references.flatMap((reference) => this.#pushed(reference))])
  }

  #pushed({ identifier }: Scope.Reference): Origin[] {
    const member = parentOf(identifier as Node)
    if (member?.type !== 'MemberExpression' || member.object !== identifier) return []
    const use = parentOf(member)
    if (use?.type === 'AssignmentExpression' && use.left === member) return [this.of(use.right)]
    const name = propertyName(member)
    if (use?.type !== 'CallExpression' || use.callee !== member || (name !== 'push' && name !== 'unshift')) return []
    return use.arguments.map((each) => (each.type === 'SpreadElement' ? this.#elements(each.argument) : this.of(each)))
  }
}

function worst(origins: readonly Origin[]): Origin {
  if (origins.includes('spliced')) return 'spliced'
  return origins.includes('unknown') ? 'unknown' : 'fixed'
}

/** `"${name.replaceAll('"', '""')}"` is how a name is quoted by hand; values belong into parameters. */
function doublesQuotes(call: NodeOf<'CallExpression'>, method: string): boolean {
  const [what, by] = call.arguments
  if (what?.type !== 'Literal' || by?.type !== 'Literal' || by.value !== '""') return false
  if ('regex' in what) return method.startsWith('replace') && what.regex.pattern === '"' && what.regex.flags === 'g'
  return method === 'replaceAll' && what.value === '"'
}

function isConstantName(name: string | undefined): boolean {
  return name !== undefined && /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/.test(name)
}

/** Returns both sides of conditions, so that each can be taken apart. */
function alternatives(value: Node): Node[] {
  const node = bare(value)
  if (node.type !== 'ConditionalExpression') return [node]
  return [...alternatives(node.consequent), ...alternatives(node.alternate)]
}

function holds(pattern: Node, name: Node): boolean {
  const [start, end] = pattern.range ?? [0, -1]
  const [at = -1] = name.range ?? []
  return start <= at && at < end
}

/** A parameter whose type lists its values (`'asc' | 'desc'`) can be nothing else, and cannot be a parameter in SQL. */
function isLiteralType(name: Node): boolean {
  type TypeNode = { type: string; types?: TypeNode[] }
  const annotation = (name as { typeAnnotation?: { typeAnnotation: TypeNode } }).typeAnnotation?.typeAnnotation
  const isLiteral = (node: TypeNode): boolean =>
    node.type === 'TSLiteralType' || (node.type === 'TSUnionType' && (node.types ?? []).every(isLiteral))
  return annotation !== undefined && isLiteral(annotation)
}
