import pg from 'pg'
import { ConfigError } from '../errors.ts'
import { toConnectError } from './admin-error.ts'

/** Reading and writing as the operator takes longer than a statement of a request, but not forever. */
const ADMIN_STATEMENT_TIMEOUT_MS = 15 * 60_000
const CONNECT_TIMEOUT_MS = 10_000

/**
 * Opens a connection of the operator, hands it to `fn` and closes it.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without a URL, `ERR_CONFIG_INVALID` when it is none or the server refuses the login
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when the server cannot be reached; safe to retry
 */
export async function withAdminConnection<T>(
  url: string | undefined,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    connectionString: requireAdminUrl(url),
    application_name: 'rowhouse-admin',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: ADMIN_STATEMENT_TIMEOUT_MS,
  })
  // A connection lost between statements is reported by the next statement; the event alone would end the process.
  client.on('error', () => {})
  await client.connect().catch((error: Error) => {
    throw toConnectError(error)
  })
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

/**
 * Returns the operator's URL. Neither message repeats it: it holds a password.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without one, `ERR_CONFIG_INVALID` when it is no URL of PostgreSQL
 */
export function requireAdminUrl(url: string | undefined): string {
  if (url === undefined || url === '') {
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      'Cannot administrate without an operator login: set ROWHOUSE_ADMIN_URL to a login that may become "rowhouse_owner"',
    )
  }
  if (!/^postgres(?:ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      "Cannot read the operator's URL (ROWHOUSE_ADMIN_URL): wanted postgres://user:password@host:port/database, with special characters percent-encoded",
    )
  }
  return url
}
