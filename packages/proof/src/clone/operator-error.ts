import { ConfigError, isRowhouseError, MigrationError, UnavailableError } from 'rowhouse'

/** Credentials and databases that will not work however often they are tried. */
const LOGIN_REFUSED = /^28|^3D000$/
/** Class 57P: somebody ends the backend or the server. Class 08: the connection is gone. Class 53: no room for another. */
const CONNECTION_LOST = /^57P|^08|^53|^ECONN|^EPIPE$/
const NO_CONNECTION = /connection terminated|connection ended|not queryable|client was closed/i
const PRIVILEGE_MISSING = '42501'

/** The messages never repeat the URL: it holds a password. */
export function requireOperatorUrl(url: string | undefined): string {
  if (url === undefined || url === '') {
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      'Cannot make scratch databases without an operator login: set ROWHOUSE_ADMIN_URL, or give the URL of the database',
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

export function toConnectError(error: Error): Error {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && LOGIN_REFUSED.test(code)) {
    return new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot log in to the database: ${error.message}; correct the URL of the database`,
      { cause: error },
    )
  }
  return new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the database: ${error.message}`, {
    cause: error,
  })
}

/** Says what an operator can do about a failure of PostgreSQL's; every other error is returned as it is. */
export function toOperatorError(error: unknown): unknown {
  if (isRowhouseError(error) || !(error instanceof Error)) return error
  const code = String((error as { code?: unknown }).code ?? '')
  if (CONNECTION_LOST.test(code) || NO_CONNECTION.test(error.message)) {
    return new UnavailableError(
      'ERR_DATABASE_UNAVAILABLE',
      `Cannot go on in the scratch database: ${error.message}; run it again`,
      { cause: error },
    )
  }
  if (code === PRIVILEGE_MISSING) {
    return new MigrationError(
      'ERR_PRIVILEGE_MISSING',
      `Cannot work in a scratch database with this login: ${error.message}; use a superuser`,
      { cause: error },
    )
  }
  return error
}
