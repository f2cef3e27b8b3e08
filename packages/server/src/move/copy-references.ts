import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import { PLAIN_TEXT } from '../tenant-data/checksum.ts'
import { copyIn, copyOut } from '../tenant-data/copy-rows.ts'
import type { MoveRecord } from './move-record.ts'

interface ReferenceTable {
  /** Quoted, safe to splice. */
  readonly name: string
  /** Of columns that are written, with their types; equal where rows of one fit into the other. */
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

/** Tables all tenants read and none writes, as `rowhouse.publish_reference` makes them. */
const REFERENCE_TABLES = `
  select format('public.%I', c.relname) as name,
         (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attname)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
    from pg_class c
   where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
     and c.relowner = 'rowhouse_owner'::regrole
     and has_table_privilege('rowhouse_app', c.oid, 'select') and not has_table_privilege('rowhouse_app', c.oid, 'insert, update, delete')
     and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
   order by 1`

/**
 * Fills the reference tables of a database that a move made with the rows they have where the tenant comes from. Its
 * migrations made the tables; who loads them otherwise, a step of provisioning or a job at night, has not been there. What
 * has rows, or other columns, is left alone: whether the tenant's rows find what they refer to is checked later.
 */
export async function copyReferences(connections: OperatorConnections, { source, target }: MoveRecord): Promise<void> {
  await connections.use(source, (from) =>
    connections.use(target, async (to) => {
      await from.query(`begin isolation level repeatable read read only; ${PLAIN_TEXT}`)
      await to.query(`begin; ${PLAIN_TEXT}; set local session_replication_role = replica`)
      const there = await listReferenceTables(from)
      for (const table of await listReferenceTables(to)) {
        const same = there.some(({ name, columns }) => name === table.name && isEqual(columns, table.columns))
        if (!same || (await to.query(`select from ${table.name} limit 1`)).rowCount !== 0) continue
        const list = table.columns.map(({ name }) => escapeIdentifier(name)).join(', ')
        const rows = copyOut(from, `copy (select ${list} from ${table.name}) to stdout`)
        await copyIn(to, `copy ${table.name} (${list}) from stdin`, rows)
      }
      await to.query('commit')
      await from.query('commit')
    }),
  )
}

async function listReferenceTables(client: pg.PoolClient): Promise<ReferenceTable[]> {
  return (await client.query<ReferenceTable>(REFERENCE_TABLES)).rows
}

function isEqual(one: ReferenceTable['columns'], other: ReferenceTable['columns']): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
