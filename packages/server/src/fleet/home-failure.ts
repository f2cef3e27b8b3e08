import { IsolationError, isRowhouseError, MigrationError, UnavailableError } from 'rowhouse'
import type { Piece } from './home-transaction.ts'

/** lock_timeout, deadlock, serialization: the same work can go well in a moment. */
const CONFLICTS: ReadonlySet<unknown> = new Set(['55P03', '40P01', '40001'])

/** Tells whether another session stood in the way. */
export function isLockConflict(error: unknown): boolean {
  return CONFLICTS.has((error as { code?: unknown } | undefined)?.code)
}

/**
 * Turns what a migration threw into an error that names home, file and line. The transaction is rolled back already.
 *
 * @param piece what was running, where it is known
 */
export function explainFailure(error: unknown, home: string, piece: Piece | undefined): Error {
  if (isRowhouseError(error) || error instanceof RangeError) return error
  const { code, constraint, message, name } = error as Error & { code?: string; constraint?: string }
  const where = home === '' ? 'the shared tables' : `schema "${home}"`
  const facts = { cause: error }
  if (name === 'AbortError') return error as Error
  if (code === undefined || !/^[0-9A-Z]{5}$/.test(code) || /^(08|53|57P)/.test(code)) {
    const text = `Cannot migrate ${where}: the database went away (${message}); what was not committed is undone, run again`
    return new UnavailableError('ERR_DATABASE_UNAVAILABLE', text, facts)
  }
  const what = nameOf(piece)
  if (constraint === 'rowhouse_unprotectable') {
    const text = `Cannot migrate ${where}: ${what}: ${message.replace(/^rowhouse: /, '')}\nNothing of it was kept`
    return new IsolationError('ERR_ISOLATION_TABLE_UNPROTECTABLE', text, facts)
  }
  const reason = reasonOf(code, constraint, message)
  const missing = code === '42501' && constraint === undefined
  return new MigrationError(
    missing ? 'ERR_PRIVILEGE_MISSING' : 'ERR_MIGRATION_FAILED',
    `Cannot migrate ${where}: ${what}: ${reason}; nothing of it was kept`,
    facts,
  )
}

function nameOf(piece: Piece | undefined): string {
  const { migration, statement } = piece ?? {}
  if (migration === undefined) return 'its transaction'
  return statement === undefined ? migration.file : `${migration.file}:${statement.line}`
}

function reasonOf(code: string, constraint: string | undefined, message: string): string {
  if (constraint === 'rowhouse_context_missing') {
    return 'it reads or writes rows of tenants, and a migration has no tenant; change rows from the application, tenant by tenant'
  }
  // Messages of this class quote the value, which is a row's.
  if (code.startsWith('22')) return `a value does not fit (SQLSTATE ${code}); the server's log names it`
  if (code === '57014') return 'it ran longer than its timeout'
  return `${message.replace(/^rowhouse: /, '')} (SQLSTATE ${code})`
}
