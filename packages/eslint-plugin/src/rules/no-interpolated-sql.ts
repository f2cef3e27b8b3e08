import type { Rule } from 'eslint'
import { findStatementCall, isDatabase, startsLikeSql } from '../syntax/database-call.ts'
import { bare, calledMethod, lastName, type Node, type NodeOf } from '../syntax/nodes.ts'
import { readSqlText } from '../syntax/sql-text.ts'
import { type TextOriginOptions, TextOrigins } from '../syntax/text-origin.ts'

/** Ways around parameters of libraries that otherwise have them; what to use instead. */
const RAW_METHODS: ReadonlyMap<string, string> = new Map([
  ['$queryRawUnsafe', '$queryRaw`…`'],
  ['$executeRawUnsafe', '$executeRaw`…`'],
])

/** Objects whose `raw` and `unsafe` put text into a statement as it is: Kysely, Drizzle, Prisma, postgres.js. */
const RAW_OWNERS: ReadonlySet<string> = new Set(['sql', 'Prisma'])

/** Refuses text spliced into SQL: what a visitor types becomes part of the statement. */
export const noInterpolatedSql: Rule.RuleModule = {
  meta: {
    type: 'problem',
    docs: { description: 'Refuse values spliced into the text of SQL', recommended: true },
    messages: {
      spliced:
        'Cannot see that this SQL is free of injection: a value is spliced into its text; write $1 in the text and pass the value: {{method}}(text, [value]), or choose between constants of this file',
      raw: 'Cannot see that {{call}} is free of injection: its text is not a constant of this file and goes into the statement as it is; use {{instead}}, which makes a parameter of each value',
    },
    schema: [
      {
        type: 'object',
        properties: { safeNames: { type: 'array', items: { type: 'string' }, uniqueItems: true } },
        additionalProperties: false,
      },
    ],
  },
  create(context) {
    const source = context.sourceCode
    const origins = new TextOrigins(source, context.options[0] as TextOriginOptions | undefined)
    return {
      CallExpression(node) {
        const raw = findRawCall(node)
        if (raw !== undefined) {
          if (origins.of(raw.text) !== 'fixed') context.report({ node: raw.text, messageId: 'raw', data: raw.data })
          return
        }
        const call = findStatementCall(node)
        if (call === undefined || origins.of(call.text) !== 'spliced') return
        const text = readSqlText(source, call.text)
        const isBuilt = /^\s*\$0/.test(text) && isDatabase(call.receiver)
        if (isBuilt || startsLikeSql(text)) {
          context.report({ node: call.text, messageId: 'spliced', data: { method: call.method } })
        }
      },
    }
  },
}

interface RawCall {
  readonly text: Node
  readonly data: { readonly call: string; readonly instead: string }
}

function findRawCall(call: NodeOf<'CallExpression'>): RawCall | undefined {
  const called = calledMethod(call)
  const [first] = call.arguments
  if (called?.receiver === undefined || first === undefined || first.type === 'SpreadElement') return undefined
  const text = bare(first)
  const safeTwin = RAW_METHODS.get(called.name)
  if (safeTwin !== undefined) return { text, data: { call: `${called.name}()`, instead: safeTwin } }
  const owner = lastName(called.receiver) ?? ''
  if ((called.name !== 'raw' && called.name !== 'unsafe') || !RAW_OWNERS.has(owner)) return undefined
  const instead = owner === 'Prisma' ? 'Prisma.sql`…`' : 'sql`…`'
  return { text, data: { call: `${owner}.${called.name}()`, instead } }
}
