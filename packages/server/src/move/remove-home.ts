import { TenantError } from 'rowhouse'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { deleteBatch, partsOf } from '../tenant-data/delete-rows.ts'
import { type MoveHome, sameDatabase } from './move-record.ts'
import { tablesOf } from './preflight.ts'

/**
 * Removes what a home holds of a tenant that does not live there: its database, its schema, or its rows in shared tables,
 * in batches, so that neighbours are not held up. Calling it again goes on.
 *
 * @param livesAt  where the tenant lives: never removed
 */
export async function removeHome(
  connections: OperatorConnections,
  home: MoveHome,
  livesAt: MoveHome,
  tenantId: string,
): Promise<void> {
  await assertLivesElsewhere(connections, home, tenantId)
  const shared = { server: home.server, database: undefined }
  if (home.database !== undefined) {
    await connections.disconnect(home)
    await connections.use(shared, (client) => client.query(`drop database if exists ${home.database} with (force)`))
  } else if (home.schema !== undefined) {
    await connections.transact(shared, async (client) => {
      await client.query(`drop schema if exists ${home.schema} cascade`)
      // A ledger without its tables would keep migrations away when the tenant comes back.
      for (const table of ['applied_migration', 'migration_progress', 'ddl_freeze']) {
        await client.query(`delete from rowhouse.${table} where home = $1`, [home.schema])
      }
    })
  } else {
    await deleteRows(connections, home, tenantId)
  }
  if (home.database === undefined && !sameDatabase(home, livesAt)) {
    await connections.transact(shared, (client) =>
      client.query('delete from rowhouse.resident where tenant_id = $1', [tenantId]),
    )
  }
  const { server, database = '', schema = '' } = home
  await connections.transact(CENTRAL, (client) =>
    client.query(
      'delete from rowhouse.fleet_home where (server, database_name, schema_name) = ($1, $2, $3) and tenant_id = $4',
      [server, database, schema, tenantId],
    ),
  )
}

async function deleteRows(connections: OperatorConnections, home: MoveHome, tenantId: string): Promise<void> {
  for (const table of (await tablesOf(connections, home)).toReversed()) {
    for (const part of await connections.use(home, (client) => partsOf(client, table))) {
      for (let deleted = 1; deleted > 0; ) {
        deleted = await connections.use(home, async (client) => {
          await client.query('begin; set local row_security = off')
          const count = await deleteBatch(client, part, tenantId)
          await client.query('commit')
          return count
        })
      }
    }
  }
}

/** The registry decides once more, right before: this is the one place where a tenant's rows are deleted by a move. */
async function assertLivesElsewhere(connections: OperatorConnections, home: MoveHome, tenantId: string): Promise<void> {
  const { rows } = await connections.transact(CENTRAL, (client) =>
    client.query<{ here: boolean }>(
      `select server = $2 and database_name is not distinct from $3 and schema_name is not distinct from $4 as here
         from rowhouse.placement where tenant_id = $1`,
      [tenantId, home.server, home.database ?? null, home.schema ?? null],
    ),
  )
  if (rows[0]?.here !== true) return
  throw new TenantError(
    'ERR_MOVE_IMPOSSIBLE',
    'Cannot remove a copy of the tenant: it is where the registry says it lives',
  )
}
