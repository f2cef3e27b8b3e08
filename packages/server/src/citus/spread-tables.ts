import { type Distribution, distributeWith } from 'rowhouse/install'
import type { Runner } from '../fleet/homes.ts'

/**
 * On a Citus server, spreads tables over the workers that a migration has made; elsewhere nothing.
 *
 * @param client  the operator's, in the server's shared database, in no transaction
 * @throws {MigrationError} `ERR_MIGRATION_FAILED` with what Citus says
 */
export async function spreadTables(client: Runner): Promise<Distribution | undefined> {
  const { rowCount } = await client.query(`select from pg_extension where extname = 'citus'`)
  return rowCount === 1 ? distributeWith(client) : undefined
}
