import { ConfigError, isRowhouseError, MigrationError, UnavailableError } from 'rowhouse'

/** What an operator's login is wanted for, in the words its messages need. */
export interface Purpose {
  /** Before "without an operator login". */
  readonly task: string
  /** After "Cannot log in to". */
  readonly login: string
  /** After "Cannot go on". */
  readonly goOn: string
  /** Before "with this login". */
  readonly work: string
  /** Whose login would do. */
  readonly wanted: string
}

export const SCRATCH: Purpose = {
  task: 'make scratch databases',
  login: 'the database',
  goOn: 'in the scratch database',
  work: 'work in a scratch database',
  wanted: 'a superuser',
}

/** Credentials and databases that will not work however often they are tried. */
const LOGIN_REFUSED = /^28|^3D000$/
/** Class 57P: somebody ends the backend or the server. Class 08: the connection is gone. Class 53: no room for another. */
const CONNECTION_LOST = /^57P|^08|^53|^ECONN|^EPIPE$|^ETIMEDOUT$|^ERR_DATABASE_UNAVAILABLE$/
const NO_CONNECTION = /connection terminated|connection ended|not queryable|client was closed/i
const PRIVILEGE_MISSING = '42501'

/** The messages never repeat the URL: it holds a password. */
export function requireOperatorUrl(url: string | undefined, { task }: Purpose): string {
  if (url === undefined || url === '') {
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      `Cannot ${task} without an operator login: set ROWHOUSE_ADMIN_URL, or give the URL of the database`,
    )
  }
  if (!/^postgres(?:ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot read the URL of the database: wanted postgres://user:password@host:port/database, with special characters percent-encoded',
    )
  }
  return url
}

export function toConnectError(error: Error, { login }: Purpose): Error {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && LOGIN_REFUSED.test(code)) {
    return new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot log in to ${login}: ${error.message}; correct the URL of the database`,
      { cause: error },
    )
  }
  return new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the database: ${error.message}`, {
    cause: error,
  })
}

/** Tells whether the connection or the server went away, however the error is wrapped: nothing was answered. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  return CONNECTION_LOST.test(String(code ?? '')) || NO_CONNECTION.test(error.message) || isConnectionLost(error.cause)
}

export function toLostError(error: Error, { goOn }: Purpose): UnavailableError {
  return new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot go on ${goOn}: ${error.message}; run it again`, {
    cause: error,
  })
}

/** Says what an operator can do about a failure of PostgreSQL's; every other error is returned as it is. */
export function toOperatorError(error: unknown, purpose: Purpose): unknown {
  if (isRowhouseError(error) || !(error instanceof Error)) return error
  if (isConnectionLost(error)) return toLostError(error, purpose)
  if ((error as { code?: unknown }).code === PRIVILEGE_MISSING) {
    return new MigrationError(
      'ERR_PRIVILEGE_MISSING',
      `Cannot ${purpose.work} with this login: ${error.message}; use ${purpose.wanted}`,
      { cause: error },
    )
  }
  return error
}
