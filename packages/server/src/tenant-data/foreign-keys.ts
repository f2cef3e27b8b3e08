import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import type { TenantTable } from './tenant-tables.ts'

/** Rows that refer to rows that are not there. */
export interface BrokenReference {
  readonly constraint: string
  readonly table: string
  readonly to: string
  readonly rows: number
  /** True when the rows referred to are no tenant's: reference tables. */
  readonly shared: boolean
}

interface KeyRow {
  readonly name: string
  readonly table: string
  readonly child: string
  readonly parent: string
  readonly to: string
  readonly shared: boolean
  readonly columns: readonly { readonly from: string; readonly to: string }[]
}

/**
 * Checks the foreign keys of loaded tables, and those that point at them. PostgreSQL checks by triggers, and none fires
 * while rows are loaded.
 *
 * @param tables  all tables of the home
 * @param loaded  names of those whose rows changed
 * @param rowsOf  queries for the rows of a table to look at, safe to splice; all of the tenant's when left out
 */
export async function findBrokenReferences(
  client: pg.ClientBase,
  tables: readonly TenantTable[],
  loaded: readonly string[],
  tenantId: string,
  rowsOf?: (table: string) => readonly string[],
): Promise<BrokenReference[]> {
  const { rows: keys } = await client.query<KeyRow>(
    `select f.conname as name, c.relname as table, f.conrelid::regclass::text as child, f.confrelid::regclass::text as parent,
            p.relname as to, f.confrelid <> all ($1::oid[]) as shared,
            (select json_agg(json_build_object('from', a.attname, 'to', b.attname) order by k.n)
               from unnest(f.conkey, f.confkey) with ordinality k (one, other, n)
               join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.one
               join pg_attribute b on b.attrelid = f.confrelid and b.attnum = k.other) as columns
       from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_class p on p.oid = f.confrelid
      where f.contype = 'f' and f.conparentid = 0 and f.convalidated and f.conrelid = any ($1::oid[])
        and (c.relname = any ($2) or p.relname = any ($2)) order by f.conname`,
    [tables.map(({ oid }) => oid), loaded],
  )
  const broken: BrokenReference[] = []
  for (const { name, table, child, parent, to, shared, columns } of keys) {
    const isSet = columns.map(({ from }) => `c.${escapeIdentifier(from)} is not null`).join(' and ')
    const isThere = columns.map((each) => `p.${escapeIdentifier(each.to)} = c.${escapeIdentifier(each.from)}`)
    let count = 0
    for (const from of rowsOf?.(table).map((query) => `(${query})`) ?? [child]) {
      const { rows } = await client.query<{ rows: number }>(
        `select count(*)::int as rows from ${from} c
          where c.tenant_id = $1 and ${isSet} and not exists (select from ${parent} p where ${isThere.join(' and ')})`,
        [tenantId],
      )
      count += rows[0]?.rows ?? 0
    }
    if (count > 0) broken.push({ constraint: name, table, to, rows: count, shared })
  }
  return broken
}
