import { readSqlTokens, type SqlToken } from './tokens.ts'

/** What a statement leaves behind on its connection, for whoever gets that connection next. */
export interface SessionState {
  /** The offending words, e.g. `create temp` or `pg_advisory_lock()`. */
  readonly found: string
  /** What to write instead. */
  readonly instead: string
}

/** Locks that outlive the transaction, with the ones that do not. */
const SESSION_LOCKS: ReadonlyMap<string, string> = new Map([
  ['pg_advisory_lock', 'pg_advisory_xact_lock()'],
  ['pg_advisory_lock_shared', 'pg_advisory_xact_lock_shared()'],
  ['pg_try_advisory_lock', 'pg_try_advisory_xact_lock()'],
  ['pg_try_advisory_lock_shared', 'pg_try_advisory_xact_lock_shared()'],
  ['pg_advisory_unlock', 'pg_advisory_xact_lock(), which needs no unlock'],
  ['pg_advisory_unlock_shared', 'pg_advisory_xact_lock_shared(), which needs no unlock'],
  ['pg_advisory_unlock_all', 'pg_advisory_xact_lock(), which needs no unlock'],
])

const OWN_CONNECTION = 'a connection of your own, outside of tenant work'
const CTE = 'a common table expression or a real table'

/** Statements that are session state by their first word alone. */
const HEADS: ReadonlyMap<string, string> = new Map([
  ['listen', OWN_CONNECTION],
  ['unlisten', OWN_CONNECTION],
  ['discard', 'nothing: Rowhouse leaves nothing behind that would have to be discarded'],
  ['reset', 'set local inside of db.transaction(), which ends by itself'],
  ['prepare', 'the statement with parameters; Rowhouse prepares it'],
  ['deallocate', 'nothing: Rowhouse keeps its own prepared statements'],
  ['load', OWN_CONNECTION],
])

/** Forms of SET that end with the transaction. */
const TRANSACTION_SET: ReadonlySet<string> = new Set(['local', 'constraints', 'transaction'])

/** Returns the first thing in an SQL text that would outlive the transaction; undefined when there is none. */
export function findSessionState(sql: string): SessionState | undefined {
  const tokens = readSqlTokens(sql)
  for (const statement of splitStatements(tokens)) {
    const found = findByHead(statement) ?? findByCall(statement) ?? findSelectInto(statement)
    if (found !== undefined) return found
  }
  return undefined
}

function splitStatements(tokens: readonly SqlToken[]): SqlToken[][] {
  const statements: SqlToken[][] = [[]]
  for (const token of tokens) {
    if (token.kind === 'symbol' && token.text === ';') statements.push([])
    else statements.at(-1)?.push(token)
  }
  return statements
}

function findByHead(statement: readonly SqlToken[]): SessionState | undefined {
  const words = statement.slice(0, 6).map(({ kind, text }) => (kind === 'word' ? text : ''))
  const [head = '', second = ''] = words
  const instead = HEADS.get(head)
  if (instead !== undefined) return { found: head, instead }
  if (head === 'set' && !TRANSACTION_SET.has(second)) {
    return { found: `set${second === '' ? '' : ` ${second}`}`, instead: 'set local inside of db.transaction()' }
  }
  if (head === 'create') {
    const temporary = words.slice(1, 5).find((word) => word === 'temp' || word === 'temporary')
    const before = words.slice(1, words.indexOf(temporary ?? ''))
    const isPrefix = before.every((word) => ['or', 'replace', 'global', 'local'].includes(word))
    if (temporary !== undefined && isPrefix) return { found: `create ${temporary}`, instead: CTE }
  }
  if (head === 'declare' && hasSequence(statement, ['with', 'hold'])) {
    return { found: 'declare … with hold', instead: 'db.cursor()' }
  }
  return undefined
}

function findByCall(statement: readonly SqlToken[]): SessionState | undefined {
  for (const [index, token] of statement.entries()) {
    if (token.kind !== 'word' || statement[index + 1]?.text !== '(') continue
    const instead = SESSION_LOCKS.get(token.text)
    if (instead !== undefined) return { found: `${token.text}()`, instead }
    if (token.text === 'set_config' && isFalse(argumentsAt(statement, index + 1)[2])) {
      return { found: 'set_config(…, false)', instead: 'set_config(…, true), which ends with the transaction' }
    }
  }
  return undefined
}

function findSelectInto(statement: readonly SqlToken[]): SessionState | undefined {
  for (const word of ['temp', 'temporary']) {
    if (hasSequence(statement, ['into', word])) return { found: `select into ${word}`, instead: CTE }
  }
  return undefined
}

function hasSequence(statement: readonly SqlToken[], words: readonly string[]): boolean {
  return statement.some((_, at) =>
    words.every((word, offset) => {
      const token = statement[at + offset]
      return token?.kind === 'word' && token.text === word
    }),
  )
}

/** Splits the arguments of a call at its own commas. @param open  index of the opening bracket */
function argumentsAt(statement: readonly SqlToken[], open: number): SqlToken[][] {
  const found: SqlToken[][] = [[]]
  let depth = 0
  for (const token of statement.slice(open)) {
    const symbol = token.kind === 'symbol' ? token.text : ''
    if (symbol === '(' && depth++ === 0) continue
    if (symbol === ')' && --depth === 0) break
    if (symbol === ',' && depth === 1) found.push([])
    else found.at(-1)?.push(token)
  }
  return found
}

function isFalse(argument: readonly SqlToken[] = []): boolean {
  const [value] = argument
  return value !== undefined && value.kind !== 'symbol' && /^(?:false|f|no|n|off|0)$/.test(value.text)
}
