import pg from 'pg'

const PAGE_BYTES = 8_192
const LOCK_NOT_AVAILABLE = '55P03'

/** A table with the tenant column; partitions are counted with the table they belong to. */
export interface TenantTable {
  readonly schema: string
  readonly name: string
  /** Quoted, safe to splice. */
  readonly quoted: string
  /** Of the table, its partitions, indexes and long values. */
  readonly bytes: number
  readonly pages: number
  /** True when somebody holds it so that it cannot be looked at: sizes are those of the statistics then. */
  readonly locked: boolean
  readonly indexes: number
  /** Rows by the statistics; undefined where it was never analysed. */
  readonly estimatedRows: number | undefined
  /** Distinct tenants by the statistics; undefined likewise. */
  readonly estimatedTenants: number | undefined
}

interface Row {
  readonly oid: number
  readonly leaves: readonly number[]
  readonly schema: string
  readonly name: string
  readonly quoted: string
  readonly indexes: number
  readonly rows: number | null
  readonly distinct: number | null
  readonly pagesByStatistics: string
}

interface Size {
  readonly oid: number
  readonly bytes: string
  readonly pages: string
}

/** Lists the tables with the tenant column, smallest first: what they leave of their time goes to the large ones. */
export async function listTenantTables(client: pg.Client, tenantColumn: string): Promise<TenantTable[]> {
  const rows = await listFromCatalog(client, tenantColumn)
  // One question for all, or one for each when somebody holds one of them.
  const sizes = (await measure(client, rows)) ?? (await measureOneByOne(client, rows))
  const tables = rows.map((row): TenantTable => {
    const size = sizes.get(row.oid)
    const pages = Number(size?.pages ?? row.pagesByStatistics)
    return {
      schema: row.schema,
      name: row.name,
      quoted: row.quoted,
      bytes: size === undefined ? pages * PAGE_BYTES : Number(size.bytes),
      pages,
      locked: size === undefined,
      indexes: row.indexes,
      estimatedRows: row.rows ?? undefined,
      estimatedTenants: row.distinct === null ? undefined : distinctOf(row.distinct, row.rows ?? 0),
    }
  })
  return tables.toSorted((a, b) => a.bytes - b.bytes || (a.quoted < b.quoted ? -1 : 1))
}

/** Asks what needs no lock on the tables: `pg_partition_tree` and the functions for sizes wait for theirs. */
async function listFromCatalog(client: pg.Client, tenantColumn: string): Promise<Row[]> {
  const { rows } = await client.query<Row>(
    `select c.oid::int8::float8 as oid, leaf.oids as leaves, n.nspname as schema, c.relname as name,
            format('%I.%I', n.nspname, c.relname) as quoted, leaf.rows, leaf.pages as "pagesByStatistics",
            s.n_distinct as distinct, (select count(*)::int from pg_index i where i.indrelid = c.oid) as indexes
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attname = $1 and not a.attisdropped
       cross join lateral (
         with recursive part (oid) as (
           select c.oid union all select i.inhrelid from pg_inherits i join part p on p.oid = i.inhparent
         )
         select array_agg(l.oid::int8::float8) as oids, sum(l.relpages) as pages,
                case when min(l.reltuples) >= 0 then sum(l.reltuples) end as rows
           from part join pg_class l on l.oid = part.oid and l.relkind = 'r') leaf
       left join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = $1
                           and s.inherited = (c.relkind = 'p')
      where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema', 'rowhouse')`,
    [tenantColumn],
  )
  return rows
}

async function measureOneByOne(client: pg.Client, rows: readonly Row[]): Promise<Map<number, Size>> {
  const sizes = new Map<number, Size>()
  for (const row of rows) for (const [oid, size] of (await measure(client, [row])) ?? []) sizes.set(oid, size)
  return sizes
}

/** Returns undefined when one of them is held. */
async function measure(client: pg.Client, tables: readonly Row[]): Promise<Map<number, Size> | undefined> {
  await client.query('savepoint sizes')
  try {
    const { rows } = await client.query<Size>(
      `select t.oid, coalesce(sum(pg_total_relation_size(leaf.oid::int8::oid)), 0) as bytes,
              coalesce(sum(pg_relation_size(leaf.oid::int8::oid)), 0) / ${PAGE_BYTES} as pages
         from jsonb_to_recordset($1) t (oid float8, leaves jsonb)
         left join lateral (select value::text::float8 as oid from jsonb_array_elements(t.leaves)) leaf on true
        group by t.oid`,
      [JSON.stringify(tables.map(({ oid, leaves }) => ({ oid, leaves: leaves ?? [] })))],
    )
    return new Map(rows.map((row) => [row.oid, row]))
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== LOCK_NOT_AVAILABLE) throw error
    return undefined
  } finally {
    // Gives back the locks, too: a migration that waited for them would make everybody wait behind it.
    await client.query('rollback to savepoint sizes')
  }
}

/** PostgreSQL writes a number of distinct values that grows with the table as a negative share of its rows. */
function distinctOf(distinct: number, rows: number): number {
  return Math.round(distinct < 0 ? -distinct * rows : distinct)
}
