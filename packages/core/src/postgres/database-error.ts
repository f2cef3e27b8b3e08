import {
  type AnyRowhouseError,
  IsolationError,
  isRowhouseError,
  StatementError,
  TenantContextError,
  UnavailableError,
  type ViolatedConstraint,
} from '../errors.ts'
import { isUnavailableState, RAISED, SQLSTATE } from './sqlstate.ts'

/** Fields of an ErrorResponse as `pg` hands them over. Values of rows can be in `detail`, so it is never repeated. */
interface ServerError extends Error {
  readonly code?: string
  readonly constraint?: string
  readonly table?: string
  readonly column?: string
}

const CONSTRAINT_KINDS: Readonly<Record<string, ViolatedConstraint['kind']>> = {
  [SQLSTATE.uniqueViolation]: 'unique',
  [SQLSTATE.foreignKeyViolation]: 'foreign-key',
  [SQLSTATE.notNullViolation]: 'not-null',
  [SQLSTATE.checkViolation]: 'check',
  [SQLSTATE.exclusionViolation]: 'exclusion',
}

/** Tells whether the database refused a context (forged, expired, stale epoch or key, not resident). */
export function isContextRefused(error: unknown): boolean {
  return (error as ServerError | undefined)?.constraint === RAISED.contextRefused
}

/** Tells whether the database found no context at all, as where a trigger runs after the statement was cleaned up behind. */
export function isContextMissing(error: unknown): boolean {
  return (error as ServerError | undefined)?.constraint === RAISED.contextMissing
}

/** Tells whether the statement met the lock of a move, in front of everything it would have done. */
export function isTenantMoving(error: unknown): boolean {
  return (error as ServerError | undefined)?.constraint === RAISED.tenantMoving
}

const SQLSTATE_SHAPE = /^[0-9A-Z]{5}$/

/** What `pg` and `pg-pool` say, without a code, of connections that were lost, refused or late. */
const CONNECTION_MESSAGES =
  /connection terminated|connection error|client was closed|not queryable|timeout e|no answer within|after calling end on the pool|does not support SSL/i

/** Node's network errors have codes such as ECONNRESET; mistakes of the calling code have none. */
function isFromDatabase(error: unknown): boolean {
  const { code, message, syscall } = error as { code?: unknown; message?: unknown; syscall?: unknown }
  if (typeof code === 'string' && (SQLSTATE_SHAPE.test(code) || syscall !== undefined)) return true
  return code === 'EPIPE' || code === 'ECONNRESET' || CONNECTION_MESSAGES.test(String(message))
}

/**
 * Turns what `pg` threw into one of Rowhouse's errors; what did not come from the database passes unchanged.
 *
 * The message names constraints and tables, never values; the original is the `cause`.
 */
export function toRowhouseError(error: unknown, tenantId?: string): Error {
  if (isRowhouseError(error)) return error
  if (!isFromDatabase(error)) return error instanceof Error ? error : new Error(String(error), { cause: error })
  const { code: sqlState = '', message } = error as ServerError
  const facts = { cause: error, tenantId }
  if (isRefusedByWall(error)) return toIsolationError(error as ServerError, facts)
  if (CONSTRAINT_KINDS[sqlState] !== undefined) return toConstraintError(error as ServerError, facts)
  switch (sqlState) {
    case SQLSTATE.lockNotAvailable:
      return (error as ServerError).constraint === RAISED.tenantMoving
        ? new UnavailableError('ERR_TENANT_MOVING', 'Cannot run the statement: the tenant is being moved; try again', {
            ...facts,
            retryAfterMs: 250,
          })
        : new UnavailableError(
            'ERR_TIMEOUT',
            'Cannot run the statement: a lock was not granted within lock_timeout',
            facts,
          )
    case SQLSTATE.queryCanceled:
      return new UnavailableError('ERR_TIMEOUT', 'Cannot finish the statement: it ran longer than its timeout', facts)
    case SQLSTATE.readOnlyTransaction:
      return new StatementError('ERR_READ_ONLY', `Cannot write: ${message}; this work was opened read-only`, {
        ...facts,
        sqlState,
      })
    case SQLSTATE.serializationFailure:
    case SQLSTATE.deadlockDetected:
      return new UnavailableError(
        'ERR_TRANSACTION_CONFLICT',
        `Cannot commit beside concurrent work: ${message}; run the transaction again`,
        facts,
      )
  }
  if (!SQLSTATE_SHAPE.test(sqlState) || isUnavailableState(sqlState)) {
    return new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the database: ${message}`, facts)
  }
  return new StatementError('ERR_STATEMENT_FAILED', `Cannot run the statement: ${message} (SQLSTATE ${sqlState})`, {
    ...facts,
    sqlState,
  })
}

/** Tells whether a wall refused the statement: a policy, or one of our own checks. */
export function isRefusedByWall(error: unknown): boolean {
  const { code, constraint, message } = error as ServerError
  return (
    code === SQLSTATE.insufficientPrivilege &&
    (constraint?.startsWith('rowhouse_') === true || message.includes('row-level security policy'))
  )
}

function toIsolationError(
  error: ServerError,
  facts: { cause: unknown; tenantId: string | undefined },
): AnyRowhouseError {
  switch (error.constraint) {
    case RAISED.contextMissing:
      return new TenantContextError(
        'ERR_TENANT_CONTEXT_MISSING',
        'Cannot reach tenant data: the statement came without a tenant context; run it through withTenant(), rowhouse.db or rowhouse.pool',
        facts,
      )
    case RAISED.contextRefused:
    case RAISED.platformRequired:
      return new IsolationError(
        'ERR_ISOLATION_SEAL_REFUSED',
        'Cannot reach tenant data: the database refused the tenant context; it is forged, expired, of an old key or epoch, or for another database',
        facts,
      )
    default:
      return new IsolationError(
        'ERR_ISOLATION_FOREIGN_ROW',
        `Cannot write to ${error.table === undefined ? 'this table' : `"${error.table}"`}: the row belongs to another tenant or unit`,
        facts,
      )
  }
}

function toConstraintError(
  error: ServerError,
  facts: { cause: unknown; tenantId: string | undefined },
): StatementError {
  const constraint: ViolatedConstraint = {
    kind: CONSTRAINT_KINDS[error.code ?? ''] ?? 'check',
    name: error.constraint,
    table: error.table,
    column: error.column,
  }
  const where = [constraint.table, constraint.column].filter((part) => part !== undefined).join('.')
  return new StatementError(
    'ERR_CONSTRAINT_VIOLATED',
    `Cannot write to "${where}": the ${constraint.kind} constraint ${constraint.name === undefined ? '' : `"${constraint.name}" `}does not hold`,
    { ...facts, sqlState: error.code, constraint },
  )
}
