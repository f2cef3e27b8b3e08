import pg from 'pg'
import { ConfigError, UnavailableError } from '../errors.ts'

/** Reading and writing as the operator takes longer than a statement of a request, but not forever. */
const ADMIN_STATEMENT_TIMEOUT_MS = 15 * 60_000
const CONNECT_TIMEOUT_MS = 10_000

/**
 * Opens a connection of the operator, hands it to `fn` and closes it.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without a URL
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when the server cannot be reached; safe to retry
 */
export async function withAdminConnection<T>(
  url: string | undefined,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  if (url === undefined || url === '') {
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      'Cannot administrate without an operator login: set ROWHOUSE_ADMIN_URL to a login that may become "rowhouse_owner"',
    )
  }
  const client = new pg.Client({
    connectionString: url,
    application_name: 'rowhouse-admin',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: ADMIN_STATEMENT_TIMEOUT_MS,
  })
  // A connection lost between statements is reported by the next statement; the event alone would end the process.
  client.on('error', () => {})
  await client.connect().catch((error: Error) => {
    throw new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the database: ${error.message}`, {
      cause: error,
    })
  })
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}
