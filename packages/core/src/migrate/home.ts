import type pg from 'pg'
import { ConfigError } from '../errors.ts'
import { readConnectionUrl, urlOfDatabase } from '../postgres/connection-url.ts'
import { MAIN_POOLED, type Placement } from '../tenant/placement.ts'
import { withAdminConnection } from './admin-connection.ts'

/** Anything that runs statements as `rowhouse_owner`. */
export type Runner = Pick<pg.ClientBase, 'query'>

/**
 * Runs `fn` as `rowhouse_owner` in the database a tenant lives in, in one transaction.
 *
 * In the central database that is the caller's own transaction. Elsewhere it is one that commits BEFORE the caller's:
 * what is lost in between is a change the registry does not know of, which the same call makes again. So `fn` has to be
 * idempotent, and what closes a door comes before what says that it is closed.
 *
 * @param central  a transaction in the central database, as `rowhouse_owner`
 * @param centralUrl  the URL it was opened with: server `main` is reached by it
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the server's operator URL is not known to this process
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 */
export async function atHome<T>(
  central: Runner,
  centralUrl: string,
  placement: Placement,
  fn: (home: Runner) => Promise<T>,
): Promise<T> {
  if (placement.server === MAIN_POOLED.server && placement.database === undefined) return fn(central)
  const shared = placement.server === MAIN_POOLED.server ? centralUrl : await operatorUrl(central, placement.server)
  const url = placement.database === undefined ? shared : urlOfDatabase(shared, placement.database)
  return withAdminConnection(url, async (client) => {
    await client.query('begin')
    await client.query('set local role rowhouse_owner')
    const result = await fn(client)
    await client.query('commit')
    return result
  })
}

async function operatorUrl(central: Runner, server: string): Promise<string> {
  const { rows } = await central.query<{ admin_url: string | null }>(
    'select admin_url from rowhouse.server where name = $1',
    [server],
  )
  const reference = rows[0]?.admin_url
  if (typeof reference !== 'string') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot administrate server "${server}": the registry names no operator's URL for it; set one with "rowhouse server add"`,
    )
  }
  return readConnectionUrl(reference, `server "${server}" as operator`)
}
