import type { Rule } from 'eslint'
import { findSessionState } from '../sql/session-state.ts'
import { findStatementCall, isDatabase, startsLikeSql } from '../syntax/database-call.ts'
import { RAW_DRIVERS } from '../syntax/raw-drivers.ts'
import { readSqlText } from '../syntax/sql-text.ts'

/** Refuses SQL that leaves something behind on a connection that the next tenant's statement will use. */
export const noSessionState: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse SQL that changes the session instead of the transaction', recommended: true },
    messages: {
      sessionState:
        'Cannot keep "{{found}}" to this tenant: connections serve all tenants in turn, and this outlives the transaction; use {{instead}}',
    },
    schema: [],
  },
  create(context) {
    const source = context.sourceCode
    // A file that opens connections of its own has sessions of its own; no-raw-pool says which files may.
    const ownsConnections = source.ast.body.some(
      (node) =>
        node.type === 'ImportDeclaration' &&
        RAW_DRIVERS.has(String(node.source.value)) &&
        (node as { importKind?: string }).importKind !== 'type',
    )
    if (ownsConnections) return {}
    return {
      CallExpression(node) {
        const call = findStatementCall(node)
        if (call === undefined) return
        const text = readSqlText(source, call.text)
        if (!isDatabase(call.receiver) && !startsLikeSql(text)) return
        const state = findSessionState(text)
        if (state === undefined) return
        context.report({ node: call.text, messageId: 'sessionState', data: { ...state } })
      },
    }
  },
}
