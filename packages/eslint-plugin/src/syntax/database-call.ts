import { bare, calledMethod, findProperty, lastName, type Node, type NodeOf } from './nodes.ts'

/** Methods of Rowhouse, `pg` and its relatives that take the text of a statement first. */
const STATEMENT_METHODS: ReadonlySet<string> = new Set([
  'query',
  'many',
  'one',
  'maybeOne',
  'cursor',
  'copyOut',
  'execute',
  'none',
  'any',
  'oneOrNone',
  'manyOrNone',
  'raw',
])

/** Names under which code knows a database, also as the last word of a longer one: `tenantDb`, `readPool`. */
const DATABASE_NAME =
  /^(?:db|database|tx|trx|transaction|pool|client|conn|connection|session|across|rowhouse|statements|sql|knex|prisma|drizzle|kysely|pg|postgres)$|(?:Db|DB|Database|Tx|Trx|Transaction|Pool|Client|Conn|Connection)$/

/** How SQL begins, after blanks, comments and opening brackets. */
const SQL_START =
  /^(?:\s|\(|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:select|insert|update|delete|with|merge|values|table|create|alter|drop|truncate|grant|revoke|copy|call|do|explain|set|reset|show|begin|commit|rollback|savepoint|listen|unlisten|notify|lock|prepare|deallocate|discard|declare|fetch|refresh|vacuum|analyze|comment|load)\b/i

export interface StatementCall {
  readonly method: string
  readonly receiver: Node
  /** The expression that is the text. */
  readonly text: Node
}

/** Tells whether a receiver is called like a database. Without types the name is all there is. */
export function isDatabase(receiver: Node): boolean {
  const name = lastName(receiver)
  return name !== undefined && DATABASE_NAME.test(name)
}

export function startsLikeSql(text: string): boolean {
  return SQL_START.test(text)
}

/** Returns the statement a call hands to something that may be a database: `x.query(text)`, `x.query({ text })`. */
export function findStatementCall(call: NodeOf<'CallExpression'>): StatementCall | undefined {
  const called = calledMethod(call)
  const [first] = call.arguments
  if (called?.receiver === undefined || !STATEMENT_METHODS.has(called.name)) return undefined
  if (first === undefined || first.type === 'SpreadElement') return undefined
  const given = bare(first)
  const text = given.type === 'ObjectExpression' ? findProperty(given, 'text') : given
  return text === undefined ? undefined : { method: called.name, receiver: called.receiver, text }
}
