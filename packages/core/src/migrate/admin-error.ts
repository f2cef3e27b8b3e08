import { ConfigError, isRowhouseError, MigrationError, UnavailableError } from '../errors.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'

/** SQLSTATEs of a login that will not work however often it is tried: credentials, unknown database. */
const LOGIN_REFUSED = /^28|^3D000$/

/** Something of the schema `rowhouse`, or its owner, is missing. Names are in the message in every language. */
const NOT_INSTALLED: ReadonlySet<unknown> = new Set([
  SQLSTATE.undefinedSchema,
  SQLSTATE.undefinedTable,
  SQLSTATE.undefinedFunction,
  SQLSTATE.invalidParameterValue,
])
const OWN_NAME = /rowhouse\.|"rowhouse(?:_owner)?"/

/** Turns what a failed connection threw into an error that says whether trying again can help. */
export function toConnectError(error: Error): Error {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && LOGIN_REFUSED.test(code)) {
    return new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot log in as operator: ${error.message}; correct the operator's URL (ROWHOUSE_ADMIN_URL)`,
      { cause: error },
    )
  }
  return new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the database: ${error.message}`, {
    cause: error,
  })
}

/**
 * Turns what an operator's statement threw into one of Rowhouse's errors.
 *
 * @param action  what was tried, to follow "Cannot": `protect tables`
 */
export function toAdminError(error: unknown, action: string): Error {
  const { code, constraint, message } = error as { code?: unknown; constraint?: unknown; message: string }
  if (isRowhouseError(error)) return error
  if (NOT_INSTALLED.has(code) && OWN_NAME.test(message)) {
    return new ConfigError(
      'ERR_NOT_INSTALLED',
      `Cannot ${action}: Rowhouse is not installed in this database, or an older version is; run "rowhouse install" first`,
      { cause: error },
    )
  }
  if (code === SQLSTATE.insufficientPrivilege && constraint === undefined) {
    return new MigrationError(
      'ERR_PRIVILEGE_MISSING',
      `Cannot ${action} with this login: ${message}; use the login that installed Rowhouse, or one that is a member of "rowhouse_owner" and owns the tables`,
      { cause: error },
    )
  }
  return toRowhouseError(error)
}
