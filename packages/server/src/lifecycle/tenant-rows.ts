import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import { assertUnbound } from '../registry/assert-unbound.ts'
import { CENTRAL, type DatabaseAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import { deleteBatch, partsOf } from '../tenant-data/delete-rows.ts'
import { listTenantTables } from '../tenant-data/tenant-tables.ts'
import type { Runner } from './find-tenant.ts'
import { assertNotHeld } from './legal-hold.ts'

/** A table that can hold rows of a tenant, because it has a column `tenant_id`. */
export interface TableWithTenants {
  readonly schema: string
  readonly name: string
  /** Behind the walls: a tenant table. Others are somebody's own affair. */
  readonly walled: boolean
  readonly isView: boolean
  readonly isUuid: boolean
}

/** A table with how many rows of a tenant were found in it. */
export interface RowsFound {
  readonly server: string
  readonly database: string | null
  readonly schema: string
  readonly table: string
  readonly rows: number
}

const TABLES = `
  select n.nspname as schema, c.relname as name, c.relkind = 'm' as "isView", a.atttypid = 'uuid'::regtype as "isUuid",
         exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'rowhouse_wall') as walled
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
   where c.relkind in ('r', 'p', 'm') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     and (n.nspname = 'rowhouse') = $1 and n.nspname <> 'rowhouse_journal'
   order by 1, 2`

/** Tables that one statement counts: locks of a transaction are limited, and plans grow with them. */
const BATCH_TABLES = 50

/** Lists every table of a database with a column `tenant_id`; Rowhouse's own apart from all others. */
export async function listTables(client: Runner, own: boolean): Promise<TableWithTenants[]> {
  return (await client.query<TableWithTenants>(TABLES, [own])).rows
}

/** Counts a tenant's rows, in the order of `tables`. */
export async function countRows(
  client: Runner,
  tables: readonly TableWithTenants[],
  tenantId: string,
): Promise<number[]> {
  const counts: number[] = []
  for (let from = 0; from < tables.length; from += BATCH_TABLES) {
    const batch = tables.slice(from, from + BATCH_TABLES).map((table, index) => {
      const where = table.isUuid ? 'tenant_id = $1::uuid' : 'tenant_id::text = $1::text'
      return `select ${index} as n, count(*)::float8 as rows from ${quotedTable(table)} where ${where}`
    })
    const { rows } = await client.query<{ rows: number }>(`${batch.join(' union all ')} order by n`, [tenantId])
    counts.push(...rows.map((row) => row.rows))
  }
  return counts
}

export function quotedTable({ schema, name }: Pick<TableWithTenants, 'schema' | 'name'>): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
}

/**
 * Runs `fn` in a transaction of a login that no policy binds. Without one, statements would see no rows and the tenant would
 * be called erased.
 *
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING`
 */
export function withAllRows<T>(
  connections: OperatorConnections,
  address: DatabaseAddress,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return connections.use(address, async (client) => {
    await client.query('begin')
    await assertUnbound(client, `see all rows on server "${address.server}"`)
    await client.query('set local row_security = off')
    const result = await fn(client)
    await client.query('commit')
    return result
  })
}

/**
 * Runs `fn` like `withAllRows` while nobody can place a hold on the tenant, and refuses where there is one.
 *
 * @throws {TenantError} `ERR_TENANT_HELD`
 */
export function withoutHold<T>(
  connections: OperatorConnections,
  address: DatabaseAddress,
  tenantId: string,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const lock = async (central: pg.PoolClient) => {
    await central.query('select from rowhouse.tenant where id = $1 for share', [tenantId])
    await assertNotHeld(central, tenantId, `erase tenant "${tenantId}"`)
  }
  if (address.server === CENTRAL.server && address.database === undefined) {
    return withAllRows(connections, address, async (client) => {
      await lock(client)
      return fn(client)
    })
  }
  return connections.transact(CENTRAL, async (central) => {
    await lock(central)
    return withAllRows(connections, address, fn)
  })
}

/**
 * Deletes a tenant's rows from the tenant tables of a database, children first, in batches that are a transaction each.
 * Neighbours' rows are not read: `tenant_id` leads every index. Triggers of the application do not fire.
 *
 * @param homes  schemas to empty besides those that tenants share
 */
export async function deleteRows(
  connections: OperatorConnections,
  address: DatabaseAddress,
  tenantId: string,
  ownSchema: string | undefined,
): Promise<void> {
  const tables = await withAllRows(connections, address, (client) => listWalled(client, ownSchema))
  for (const table of tables) {
    for (let deleted = 1; deleted > 0; ) {
      deleted = await withoutHold(connections, address, tenantId, (client) => deleteBatch(client, table, tenantId))
    }
  }
}

async function listWalled(client: Runner, ownSchema: string | undefined): Promise<string[]> {
  const { rows } = await client.query<{ schema: string }>(
    `select distinct n.nspname as schema from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
      where p.polname = 'rowhouse_wall' and (not rowhouse.is_home(n.nspname) or n.nspname = $1) order by 1`,
    [ownSchema ?? ''],
  )
  const parts: string[] = []
  for (const { schema } of rows) {
    for (const table of (await listTenantTables(client, schema)).toReversed())
      parts.push(...(await partsOf(client, table)))
  }
  return parts
}
