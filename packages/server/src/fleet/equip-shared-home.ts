import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { registerHome } from './homes.ts'
import { digestOf } from './ledger.ts'
import { migrateHome } from './migrate-home.ts'
import type { Migration } from './migration.ts'

/**
 * Gives a server's shared database its tables, when no migration ever ran there. One that is in use is migrated in waves
 * like all others. Returns whether it was new.
 */
export async function equipSharedHome(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  server: string,
): Promise<boolean> {
  const shared = { server, database: undefined, schema: undefined }
  const isNew = await connections.transact(shared, async (client) => {
    const text = `select not exists (select from rowhouse.applied_migration where home = '') as new`
    return (await client.query<{ new: boolean }>(text)).rows[0]?.new === true
  })
  if (!isNew) return false
  if (migrations.length > 0) await connections.use(shared, (client) => migrateHome(client, shared, migrations))
  const facts = { head: migrations.at(-1)?.id, digest: digestOf(migrations) }
  await connections.transact(CENTRAL, (client) => registerHome(client, { ...shared, ...facts }))
  return true
}
