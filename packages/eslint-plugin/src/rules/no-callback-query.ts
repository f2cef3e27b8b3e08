import type { Rule } from 'eslint'
import { findStatementCall, isDatabase, startsLikeSql } from '../syntax/database-call.ts'
import { bare, calledMethod, isFunction, type Node, type NodeOf } from '../syntax/nodes.ts'
import { readSqlText } from '../syntax/sql-text.ts'

/** How a callback is called when it is handed on rather than written out. */
const CALLBACK_NAME = /^(?:cb|callback|done)$|(?:Cb|Callback)$/

/** Refuses the callback form of `pg`: a queued callback runs in the tenant of whoever freed the connection. */
export const noCallbackQuery: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse the callback form of query() and connect()', recommended: true },
    messages: {
      callback:
        'Cannot trust the tenant inside of this callback: it runs in the context of whoever freed the connection, often another tenant; write const result = await {{method}}(…)',
    },
    schema: [],
  },
  create(context) {
    const isCallback = (node: Node | undefined) => {
      const found = node && bare(node)
      return isFunction(found) || (found?.type === 'Identifier' && CALLBACK_NAME.test(found.name))
    }
    const isQueryWithCallback = (node: NodeOf<'CallExpression'>) => {
      const call = findStatementCall(node)
      if (call?.method !== 'query' || node.arguments.length < 2) return false
      return isDatabase(call.receiver) || startsLikeSql(readSqlText(context.sourceCode, call.text))
    }
    return {
      CallExpression(node) {
        const last = node.arguments.at(-1)
        if (!isCallback(last)) return
        const called = calledMethod(node)
        const isConnect = called?.name === 'connect' && node.arguments.length === 1
        const connects = isConnect && called.receiver !== undefined && isPool(called.receiver)
        if (!connects && !isQueryWithCallback(node)) return
        context.report({ node: last as Node, messageId: 'callback', data: { method: called?.name ?? 'query' } })
      },
    }
  },
}

/** Many things have connect(callback), sockets first of all; a pool or a client says so in its name. */
function isPool(receiver: Node): boolean {
  const found = bare(receiver)
  const name = found.type === 'MemberExpression' && found.property.type === 'Identifier' ? found.property.name : ''
  const own = found.type === 'Identifier' ? found.name : name
  return /^(?:pool|pg|db)$|(?:Pool|Db)$/.test(own) || /^(?:pg|db|database)Client$/i.test(own)
}
