import { StatementError } from '../errors.ts'

/**
 * What a statement may do to the connection it runs on:
 *
 * - `plain`: SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE, WITH. Can change no prepared statement, cursor,
 *   channel or setting that outlives the next context statement, so it may share a pipelined connection.
 * - `begin`, `end`, `settings`: opens, ends, or characterises (SET TRANSACTION) a transaction block.
 * - `other`: everything else (DO, EXPLAIN, COPY, DECLARE …); gets a connection of its own.
 */
export type StatementKind = 'plain' | 'begin' | 'end' | 'settings' | 'other'

/**
 * The extended protocol takes one statement per message, so its first word decides what it is. A text that starts
 * with anything but a word (a comment, a parenthesis) is `other`: reading comments the way PostgreSQL does would
 * be a second parser, and a wrong guess here would put a DO block between two tenants' statements.
 */
const FIRST_WORD = /^\s*([a-z]+)/i

const KINDS: Readonly<Record<string, StatementKind>> = {
  select: 'plain',
  insert: 'plain',
  update: 'plain',
  delete: 'plain',
  merge: 'plain',
  values: 'plain',
  table: 'plain',
  with: 'plain',
  begin: 'begin',
  start: 'begin',
  commit: 'end',
  rollback: 'end',
  end: 'end',
  abort: 'end',
}

/**
 * Tells whether a statement writes nothing by itself. It may call a function that does: whoever relies on this has to
 * be right either way.
 */
export function isRead(text: string): boolean {
  return /^\s*(?:select|values|table)\b/i.test(text)
}

const REFUSED: Readonly<Record<string, string>> = {
  listen: 'channels have no tenants, so every tenant would hear every payload; use a job table or an event table',
  unlisten: 'channels have no tenants, so LISTEN is refused and nothing can be left',
  notify: 'channels have no tenants, so every tenant would hear the payload; use a job table or an event table',
}

/**
 * Returns the kind of a statement.
 *
 * @throws {StatementError} `ERR_STATEMENT_REFUSED` for LISTEN, UNLISTEN, NOTIFY and COMMIT AND CHAIN, with the reason
 */
export function statementKind(text: string): StatementKind {
  const word = FIRST_WORD.exec(text)?.[1]?.toLowerCase()
  if (word === undefined) return 'other'
  const reason = REFUSED[word]
  if (reason !== undefined) {
    throw new StatementError('ERR_STATEMENT_REFUSED', `Cannot run ${word.toUpperCase()} for a tenant: ${reason}`)
  }
  const kind = KINDS[word]
  if (kind === 'end') return endKind(text)
  if (kind !== undefined) return kind
  return word === 'set' && /^\s*set\s+transaction\b/i.test(text) ? 'settings' : 'other'
}

/** ROLLBACK TO SAVEPOINT ends nothing; AND CHAIN would start a transaction that has no context. */
function endKind(text: string): StatementKind {
  if (/^\s*rollback\s+(?:work\s+|transaction\s+)?to\b/i.test(text)) return 'other'
  if (/\band\s+chain\b/i.test(text)) {
    throw new StatementError(
      'ERR_STATEMENT_REFUSED',
      'Cannot chain transactions: the chained one would have no tenant context; end this one and begin another',
    )
  }
  return 'end'
}

/** Command tags after which a connection is as clean as before. SET stands for SET LOCAL and SET TRANSACTION only. */
const CLEAN_TAGS: ReadonlySet<string> = new Set([
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'MERGE',
  'COPY',
  'FETCH',
  'MOVE',
  'CLOSE',
  'EXPLAIN',
  'SHOW',
  'LOCK',
  'BEGIN',
  'START',
  'ROLLBACK',
  'SAVEPOINT',
  'RELEASE',
])

/**
 * Tells whether a finished statement may have left something on the connection that outlives its transaction
 * (a prepared statement, a held cursor, a session setting, whatever a DO block did).
 */
export function leavesTraces(text: string, commandTag: string): boolean {
  const word = commandTag.split(' ', 1)[0] ?? ''
  // A COMMIT behind a comment: not seen for one when it was sent, so nothing was sent behind it that cleans up.
  if (word === 'COMMIT') return true
  if (CLEAN_TAGS.has(word)) return false
  if (word === 'SET') return !/^\s*set\s+(?:local|transaction)\b/i.test(text)
  if (word === 'DECLARE') return /\bhold\b/i.test(text)
  return true
}
