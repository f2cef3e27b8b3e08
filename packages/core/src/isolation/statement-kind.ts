import { StatementError } from '../errors.ts'

/**
 * What a statement may do to the connection it runs on:
 *
 * - `read`: SELECT, VALUES, TABLE. Writes nothing by itself, but may call a function that does.
 * - `write`: INSERT, UPDATE, DELETE, MERGE, and WITH, which may hold any of them.
 *   Both change no prepared statement, cursor, channel or setting that outlives their own flush, so they may share a
 *   pipelined connection.
 * - `begin`, `end`, `settings`: opens, ends, or characterises (SET TRANSACTION) a transaction block.
 * - `other`: everything else (DO, EXPLAIN, COPY, DECLARE …); gets a connection of its own.
 */
export type StatementKind = 'read' | 'write' | 'begin' | 'end' | 'settings' | 'other'

/**
 * The extended protocol takes one statement per message, so its first word decides what it is. A text that starts
 * with anything but a word (a comment, a parenthesis) is `other`: reading comments the way PostgreSQL does would
 * be a second parser, and a wrong guess here would put a DO block between two tenants' statements.
 */
const FIRST_WORD = /^\s*([a-z]+)/i

const KINDS: Readonly<Record<string, StatementKind>> = {
  select: 'read',
  values: 'read',
  table: 'read',
  insert: 'write',
  update: 'write',
  delete: 'write',
  merge: 'write',
  with: 'write',
  begin: 'begin',
  start: 'begin',
  commit: 'end',
  rollback: 'end',
  end: 'end',
  abort: 'end',
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
  if (word === undefined) return kindBehindComments(text)
  const reason = REFUSED[word]
  if (reason !== undefined) {
    throw new StatementError('ERR_STATEMENT_REFUSED', `Cannot run ${word.toUpperCase()} for a tenant: ${reason}`)
  }
  const kind = KINDS[word]
  if (kind === 'end') return endKind(text)
  if (kind !== undefined) return kind
  return word === 'set' && /^\s*set\s+transaction\b/i.test(text) ? 'settings' : 'other'
}

/**
 * What opens or ends a block has to be known for what it is also behind a comment: the session is cleaned behind every
 * other statement, and that would take the context from the block. A wrong guess leaves a statement without a context,
 * which the database refuses.
 */
function kindBehindComments(text: string): StatementKind {
  const bare = withoutLeadingComments(text)
  const kind = KINDS[FIRST_WORD.exec(bare)?.[1]?.toLowerCase() ?? '']
  if (kind === 'end') return endKind(bare)
  return kind === 'begin' ? 'begin' : 'other'
}

/** Comments between slashes nest in PostgreSQL. */
function withoutLeadingComments(text: string): string {
  let rest = text.trimStart()
  let depth = 0
  while (depth > 0 || rest.startsWith('--') || rest.startsWith('/*')) {
    if (depth === 0 && rest.startsWith('--')) rest = rest.replace(/^.*/, '').trimStart()
    else {
      const mark = /\/\*|\*\//.exec(rest)
      if (mark === null) return ''
      depth += mark[0] === '/*' ? 1 : -1
      rest = rest.slice(mark.index + 2)
      if (depth === 0) rest = rest.trimStart()
    }
  }
  return rest
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
