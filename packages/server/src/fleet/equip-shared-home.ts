import type { OperatorConnections } from '../registry/operator-connections.ts'
import { registerHome } from './homes.ts'
import { digestOf } from './ledger.ts'
import { migrateHome } from './migrate-home.ts'
import type { Migration } from './migration.ts'

/**
 * Gives a server's shared database its tables, when no migration ever ran there. One that is in use is migrated in waves
 * like all others.
 */
export async function equipSharedHome(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  server: string,
): Promise<void> {
  const shared = { server, database: undefined, schema: undefined }
  const isNew = await connections.transact(shared, async (client) => {
    const { rows } = await client.query<{ used: boolean }>(
      'select exists (select from rowhouse.applied_migration) as used',
    )
    return rows[0]?.used === false
  })
  if (isNew && migrations.length > 0) await connections.use(shared, (client) => migrateHome(client, shared, migrations))
  const facts = isNew ? { head: migrations.at(-1)?.id, digest: digestOf(migrations) } : {}
  await connections.transact({ server: 'main', database: undefined }, (client) =>
    registerHome(client, { ...shared, ...facts }),
  )
}
