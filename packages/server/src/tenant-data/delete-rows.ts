import type pg from 'pg'
import type { TenantTable } from './tenant-tables.ts'

type Runner = Pick<pg.ClientBase, 'query'>

/** Rows that one statement deletes: who waits behind it waits for so many, and no lock or WAL burst grows with the tenant. */
const BATCH_ROWS = 5_000

/** A row's place is unique within a table and not within its partitions. */
export async function partsOf(client: Runner, table: TenantTable): Promise<string[]> {
  const { rows } = await client.query<{ part: string }>(
    `select format('only %I.%I', n.nspname, c.relname) as part
       from pg_partition_tree($1::oid::regclass) t join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace
      where t.isleaf and c.relkind = 'r'`,
    [table.oid],
  )
  return rows.length === 0 ? [table.from] : rows.map(({ part }) => part)
}

/**
 * Deletes some of a tenant's rows and returns how many: 0 when none are left. Triggers of the application do not fire.
 *
 * @param from  as `partsOf` returns it
 */
export async function deleteBatch(client: Runner, from: string, tenantId: string): Promise<number> {
  await client.query('set local session_replication_role = replica')
  const text = `delete from ${from} where ctid = any (array(select ctid from ${from} where tenant_id = $1 limit ${BATCH_ROWS}))
     and tenant_id = $1`
  return (await client.query(text, [tenantId])).rowCount ?? 0
}
