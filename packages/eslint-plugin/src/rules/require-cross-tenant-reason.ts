import type { Rule } from 'eslint'
import { bare, calledMethod, findProperty, type Node, type NodeOf } from '../syntax/nodes.ts'
import { readSqlText } from '../syntax/sql-text.ts'
import { findVariable } from '../syntax/variables.ts'

/** What people write to get past a field that wants a reason. */
const PLACEHOLDER =
  /^(?:(.)\1*|test(?:s|ing)?|todo|tbd|fixme|xxx|foo|bar|baz|asdf\w*|qwerty\w*|none|no reason|n\/?a|null|undefined|reason|because|debug(?:ging)?|te?mp|temporary|placeholder|lorem ipsum|example|dummy|stuff|misc|work|admin|\W*)$/i

/** Bounds that the library holds reasons to. */
const MIN_LENGTH = 3
const MAX_LENGTH = 1_000

interface Options {
  /** Regular expression every written-out reason has to fit, e.g. `^INC-\d+`. */
  readonly pattern?: string
}

/** Requires a reason that tells a later reader of the log something. */
export const requireCrossTenantReason: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Require a reason worth reading for work across tenants', recommended: true },
    messages: {
      missing:
        'Cannot work across tenants without saying why: the reason is missing; pass { reason: "INC-42: …", actor, tenants }',
      placeholder:
        'Cannot tell from "{{reason}}" why this work crosses tenants: it is kept in the log for whoever asks later; name an incident, a contract or a task, in 3 to 1 000 characters',
      pattern:
        'Cannot accept the reason "{{reason}}": this project wants reasons like /{{pattern}}/; name the incident or task it asks for',
    },
    schema: [{ type: 'object', properties: { pattern: { type: 'string' } }, additionalProperties: false }],
  },
  create(context) {
    const source = context.sourceCode
    const { pattern } = (context.options[0] ?? {}) as Options
    const wanted = pattern === undefined ? undefined : new RegExp(pattern, 'u')
    const check = (node: Node) => {
      const reason = readReason(node)
      if (reason === undefined) return
      const text = reason.trim()
      const data = { reason: text.slice(0, 60), pattern: pattern ?? '' }
      if (text.length < MIN_LENGTH || text.length > MAX_LENGTH || PLACEHOLDER.test(text)) {
        context.report({ node, messageId: text === '' ? 'missing' : 'placeholder', data })
      } else if (wanted !== undefined && !wanted.test(text) && !text.includes('$0')) {
        context.report({ node, messageId: 'pattern', data })
      }
    }
    return {
      CallExpression(node) {
        if (calledMethod(node)?.name !== 'crossTenant') return
        const options = findOptions(node)
        if (options === 'missing') context.report({ node, messageId: 'missing' })
        if (typeof options === 'string') return
        const reason = findProperty(options, 'reason')
        if (reason !== undefined) check(reason)
        else if (options.properties.every(({ type }) => type === 'Property')) {
          context.report({ node: options, messageId: 'missing' })
        }
      },
    }

    /** Returns the options where the file shows them. */
    function findOptions(call: NodeOf<'CallExpression'>): NodeOf<'ObjectExpression'> | 'missing' | 'unknown' {
      const [first] = call.arguments
      if (first === undefined) return 'missing'
      if (first.type === 'SpreadElement') return 'unknown'
      const given = bare(first)
      if (given.type === 'ArrowFunctionExpression' || given.type === 'FunctionExpression') return 'missing'
      if (given.type === 'ObjectExpression') return given
      if (given.type !== 'Identifier') return 'unknown'
      const definition = findVariable(source, given)?.defs[0]
      const init = definition?.type === 'Variable' && definition.node.id.type === 'Identifier' && definition.node.init
      return init && bare(init).type === 'ObjectExpression' ? (bare(init) as NodeOf<'ObjectExpression'>) : 'unknown'
    }

    /** Returns the text of a reason, undefined when only the running program knows it. */
    function readReason(node: Node): string | undefined {
      const text = readSqlText(source, node)
      return text === '$0' ? undefined : text
    }
  },
}
