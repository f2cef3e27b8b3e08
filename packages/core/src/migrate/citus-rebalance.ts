import type pg from 'pg'
import { MigrationError } from '../errors.ts'
import { withAdminConnection } from './admin-connection.ts'

export interface RebalanceOptions {
  /** A superuser's, of the coordinator. */
  readonly url: string | undefined
  /** What moves shards. @defaultValue Citus' own rebalancer, until it is done */
  readonly move?: (client: Pick<pg.ClientBase, 'query'>) => Promise<unknown>
}

const TABLES = `
  select d.logicalrelid::text as name from pg_dist_partition d join pg_class c on c.oid = d.logicalrelid
   where d.partmethod = 'h' and c.relowner = to_regrole('rowhouse_owner') and c.relrowsecurity order by d.logicalrelid::oid`

/**
 * Lets Citus move shards while tenants work.
 *
 * Citus moves them as the owner of their tables, whom FORCE ROW LEVEL SECURITY binds as well: under writes such a move
 * never ends. So FORCE is taken away for the time of the move, for `rowhouse_owner` and nobody else, and is back
 * afterwards, also when the move failed. A process that is killed meanwhile leaves it off: run it again, or `protect`.
 *
 * @throws {MigrationError} `ERR_MIGRATION_FAILED` with what Citus says
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
 * @example
 * ```ts
 * import { rebalance } from 'rowhouse/install'
 * await rebalance({ url: process.env.CITUS_ADMIN_URL })
 * ```
 */
export function rebalance({ url, move = moveAll }: RebalanceOptions): Promise<void> {
  return withAdminConnection(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(TABLES)
    const names = rows.map(({ name }) => name)
    // Moves take longer than any statement of an operator.
    await client.query('set statement_timeout = 0')
    try {
      await force(client, names, 'no force')
      await move(client)
    } catch (error) {
      const { message } = error as Error
      throw new MigrationError('ERR_MIGRATION_FAILED', `Cannot move shards: ${message}`, { cause: error })
    } finally {
      await force(client, names, 'force')
    }
  })
}

async function moveAll(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  await client.query('select citus_rebalance_start()')
  await client.query('select citus_rebalance_wait()')
}

async function force(client: pg.Client, names: readonly string[], how: 'force' | 'no force'): Promise<void> {
  for (const name of names) await client.query(`alter table ${name} ${how} row level security`)
}
