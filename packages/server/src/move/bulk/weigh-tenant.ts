import type pg from 'pg'
import type { OperatorConnections } from '../../registry/operator-connections.ts'
import type { TenantTable } from '../../tenant-data/tenant-tables.ts'
import type { MoveHome } from '../move-record.ts'
import { tablesOf } from '../preflight.ts'

/** What is there of a tenant, as it was found. */
export interface TenantWeight {
  readonly tables: number
  readonly indexes: number
  readonly rows: number
  /** Its rows and their index entries, packed among others' as in shared tables. Rows are measured, entries are estimated. */
  readonly packedBytes: number
  /** The same in pages of its own. */
  readonly pagedBytes: number
  /** Of its database or schema, by the server; undefined in shared tables, where nobody knows. */
  readonly diskBytes: number | undefined
  /** Tables, indexes and whatever else its database or schema has in `pg_class`; undefined in shared tables. */
  readonly relations: number | undefined
  /** Connections of the application to its own database now; undefined where it shares one. */
  readonly connections: number | undefined
}

const PAGE_BYTES = 8_192
/** Pointer of a row in its page. */
const ITEM_BYTES = 4
/** The tenant and one more column, with header and pointer, in pages filled to about 75 %. */
const INDEX_ENTRY_BYTES = 50

/** Looks at a tenant where it lives: counts and weighs its rows, and asks the server for sizes. */
export async function weighTenant(
  connections: OperatorConnections,
  home: MoveHome,
  tenantId: string,
): Promise<TenantWeight> {
  const tables = await tablesOf(connections, home)
  return connections.use(home, async (client) => {
    const found: Weighed[] = []
    for (const table of tables) found.push(await weighTable(client, table, tenantId))
    const sum = (of: (table: Weighed) => number) => found.reduce((total, table) => total + of(table), 0)
    return {
      tables: tables.length,
      indexes: sum(({ indexes }) => indexes),
      rows: sum(({ rows }) => rows),
      packedBytes: sum(({ heapBytes, indexBytes, indexes }) => heapBytes + indexBytes * indexes),
      pagedBytes: sum(({ heapBytes, indexBytes, indexes }) => paged(heapBytes) + paged(indexBytes) * indexes),
      ...(await askServer(client, home)),
    }
  })
}

interface Weighed {
  readonly rows: number
  readonly indexes: number
  readonly heapBytes: number
  /** Of each index. */
  readonly indexBytes: number
}

async function weighTable(client: pg.PoolClient, { from, oid }: TenantTable, tenantId: string): Promise<Weighed> {
  const { rows } = await client.query<{ rows: string; bytes: string; indexes: number }>(
    `select count(*) as rows, coalesce(sum(pg_column_size(r.*)), 0) as bytes,
            (select count(*)::int from pg_index where indrelid = $1) as indexes
       from ${from} r where tenant_id = $2`,
    [oid, tenantId],
  )
  const { rows: count = '0', bytes = '0', indexes = 0 } = rows[0] ?? {}
  const n = Number(count)
  return { rows: n, indexes, heapBytes: Number(bytes) + n * ITEM_BYTES, indexBytes: n * INDEX_ENTRY_BYTES }
}

async function askServer(
  client: pg.PoolClient,
  { model, schema }: MoveHome,
): Promise<Pick<TenantWeight, 'diskBytes' | 'relations' | 'connections'>> {
  if (model === 'pooled') return { diskBytes: undefined, relations: undefined, connections: undefined }
  const text = model === 'database' ? ASK_DATABASE : ASK_SCHEMA
  const { rows } = await client.query<{ bytes: string; relations: number; connections: number | null }>(
    text,
    model === 'database' ? [] : [schema],
  )
  const { bytes = '0', relations = 0, connections = null } = rows[0] ?? {}
  return { diskBytes: Number(bytes), relations, connections: connections ?? undefined }
}

const ASK_DATABASE = `
  select pg_database_size(current_database()) as bytes, (select count(*)::int from pg_class) as relations,
         (select count(*)::int from pg_stat_activity where datname = current_database() and backend_type = 'client backend'
             and application_name !~ '^rowhouse-(server|journal)') as connections`

/** Long values of a table lie in a table and an index of another schema. */
const ASK_SCHEMA = `
  select coalesce(sum(pg_total_relation_size(c.oid)) filter (where c.relkind in ('r', 'm', 'S')), 0) as bytes,
         (count(*) + 2 * count(*) filter (where c.reltoastrelid <> 0))::int as relations, null::int as connections
    from pg_class c where c.relnamespace = $1::regnamespace`

function paged(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
}

/** Connections of the application to the database that tenants of a server share, now; at least one. */
export async function sharedConnections(connections: OperatorConnections, server: string): Promise<number> {
  const { rows } = await connections.use({ server, database: undefined }, (client) =>
    client.query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and backend_type = 'client backend'
          and application_name !~ '^rowhouse-(server|journal)' and pid <> pg_backend_pid()`,
    ),
  )
  return Math.max(1, rows[0]?.n ?? 1)
}

/** Connections of a server that nobody has, without those kept for superusers. */
export async function freeConnections(connections: OperatorConnections, server: string): Promise<number> {
  const { rows } = await connections.use({ server, database: undefined }, (client) =>
    client.query<{ n: number }>(
      `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - count(*)::int as n
         from pg_stat_activity where backend_type = 'client backend'`,
    ),
  )
  return rows[0]?.n ?? 0
}
