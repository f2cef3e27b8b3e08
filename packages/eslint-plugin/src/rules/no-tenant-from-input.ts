import type { Rule } from 'eslint'
import { bare, calledMethod, findProperty, type Node, propertyName } from '../syntax/nodes.ts'
import { findRequestInput } from '../syntax/request-input.ts'

/** Headers by which a service tells another one for which tenant it asks. */
const TENANT_HEADER = /^x-(?:[a-z]+-)*tenant(?:-?id|-?slug)?$/i

const HEADER_METHODS: ReadonlySet<string> = new Set(['set', 'append', 'header', 'setHeader'])

/** Refuses a tenant that the visitor names: who may be which tenant is the resolver's decision. */
export const noTenantFromInput: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse a tenant taken from what a request says about itself', recommended: true },
    messages: {
      tenantFromInput:
        'Cannot let the request choose its tenant: "{{input}}" is what the visitor sent; mount tenantFromRequest(rowhouse), whose sources are checked against each other, and use rowhouse.db or rowhouse.currentTenant()',
    },
    schema: [],
  },
  create(context) {
    const source = context.sourceCode
    const check = (node: Node | undefined) => {
      const input = node && findRequestInput(source, node)
      if (input === undefined) return
      context.report({
        node: node as Node,
        messageId: 'tenantFromInput',
        data: { input: source.getText(input).slice(0, 80) },
      })
    }
    return {
      CallExpression(node) {
        const called = calledMethod(node)
        const [first, second] = node.arguments
        if (first === undefined) return
        if (called?.name === 'withTenant') {
          const given = bare(first)
          check(given.type === 'ObjectExpression' ? findProperty(given, 'tenant') : first)
        }
        const isHeader = called?.receiver !== undefined && HEADER_METHODS.has(called.name)
        if (isHeader && first.type === 'Literal' && TENANT_HEADER.test(String(first.value))) check(second)
      },
      Property(node) {
        if (parentIsPattern(node)) return
        const name = propertyName(node)
        if (name !== undefined && TENANT_HEADER.test(name)) check(node.value)
      },
    }
  },
}

function parentIsPattern(node: Rule.Node): boolean {
  return node.parent?.type === 'ObjectPattern'
}
