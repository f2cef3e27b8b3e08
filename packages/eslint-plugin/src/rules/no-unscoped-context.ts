import type { Rule } from 'eslint'
import { isDatabase } from '../syntax/database-call.ts'
import {
  bare,
  calledMethod,
  enclosingFunction,
  type FunctionNode,
  isFunction,
  lastName,
  type Node,
  type NodeOf,
  outside,
  parentOf,
  someInside,
} from '../syntax/nodes.ts'

/** Methods of a tenant's handle that return a promise. */
const WORK: ReadonlySet<string> = new Set(['query', 'many', 'one', 'maybeOne', 'transaction', 'each', 'copyOut'])

/** Callers that drop what their callback returns. */
const DROPPING: ReadonlySet<string> = new Set([
  'forEach',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'nextTick',
])

/** Refuses tenant work nobody waits for: its errors are lost, and what it does after the block is refused. */
export const noUnscopedContext: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse tenant work whose promise nobody waits for', recommended: true },
    hasSuggestions: true,
    messages: {
      floating:
        'Cannot tell whether {{method}}() succeeded: nobody waits for its promise; await it, return it, or add .catch() where it must go on by itself',
      lostWork:
        'Cannot wait for {{call}}() here: the callback of {{method}}() ends before it does, and what runs later is outside of its scope; await or return it',
      await: 'Wait for it: put await in front',
      asyncAwait: 'Wait for it: make the callback async and put await in front',
    },
    schema: [],
  },
  create(context) {
    const source = context.sourceCode
    return {
      CallExpression(node) {
        const method = scopeMethod(node)
        if (method === undefined) return
        if (method !== 'transaction' && isDropped(node)) {
          context.report({ node, messageId: 'floating', data: { method }, suggest: suggestAwait(node) })
        }
        const callback = node.arguments.map((each) => bare(each)).find(isFunction)
        const handle = callback?.params[0]
        if (callback === undefined || handle?.type !== 'Identifier') return
        for (const lost of findLostWork(callback, handle.name)) {
          const call = calledMethod(lost)?.name ?? ''
          context.report({ node: lost, messageId: 'lostWork', data: { call, method }, suggest: suggestAwait(lost) })
        }
      },
    }

    function findLostWork(callback: FunctionNode, handle: string): NodeOf<'CallExpression'>[] {
      const lost: NodeOf<'CallExpression'>[] = []
      someInside(
        callback.body,
        (node) => {
          if (node.type === 'CallExpression' && isWorkOf(node, handle) && isDropped(node)) lost.push(node)
          return false
        },
        source.visitorKeys,
      )
      return lost
    }
  },
}

/** Returns the name of the method when a call opens a scope. */
function scopeMethod(call: NodeOf<'CallExpression'>): string | undefined {
  const called = calledMethod(call)
  if (called?.name === 'withTenant' || called?.name === 'crossTenant') return called.name
  const isTransaction = called?.name === 'transaction' && called.receiver !== undefined && isDatabase(called.receiver)
  return isTransaction ? 'transaction' : undefined
}

function isWorkOf(call: NodeOf<'CallExpression'>, handle: string): boolean {
  const called = calledMethod(call)
  return called?.receiver !== undefined && WORK.has(called.name) && lastName(called.receiver) === handle
}

/** Tells whether the value of a call goes nowhere. */
function isDropped(call: Node): boolean {
  const { parent, child } = outside(call)
  switch (parent?.type) {
    case 'ExpressionStatement':
      return true
    case 'UnaryExpression':
      return parent.operator === 'void'
    case 'LogicalExpression':
      return parent.right === child && isDropped(parent)
    case 'ConditionalExpression':
      return parent.test !== child && isDropped(parent)
    case 'SequenceExpression':
      return parent.expressions.at(-1) !== child || isDropped(parent)
    case 'ArrowFunctionExpression':
      return parent.body === child && isDroppingCallback(parent)
    case 'ReturnStatement': {
      const fn = enclosingFunction(parent)
      return fn !== undefined && isDroppingCallback(fn)
    }
    default:
      return false
  }
}

function isDroppingCallback(fn: Node): boolean {
  const call = parentOf(fn)
  if (call?.type !== 'CallExpression' || call.arguments[0] !== fn) return false
  return DROPPING.has(calledMethod(call)?.name ?? '')
}

/** Awaiting changes when the code after it runs, so it is offered, not done. */
function suggestAwait(call: Node): Rule.SuggestionReportDescriptor[] {
  const { parent, child } = outside(call)
  if (parent?.type !== 'ExpressionStatement') return []
  const fn = enclosingFunction(call)
  if (fn === undefined || fn.async)
    return [{ messageId: 'await', fix: (fixer) => fixer.insertTextBefore(child, 'await ') }]
  // Only an arrow may become async here: a method's or generator's keyword stands elsewhere.
  if (fn.type !== 'ArrowFunctionExpression') return []
  return [
    {
      messageId: 'asyncAwait',
      fix: (fixer) => [fixer.insertTextBefore(fn, 'async '), fixer.insertTextBefore(child, 'await ')],
    },
  ]
}
