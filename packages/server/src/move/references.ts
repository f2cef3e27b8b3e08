import type pg from 'pg'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { TenantError } from 'rowhouse'
import { type ChangedKeys, parts, rowsOf, type TablePair } from './captured-keys.ts'

/** A foreign key of a tenant table to a table all tenants share, which is not copied. */
interface Reference {
  readonly table: string
  readonly parent: string
  readonly columns: readonly string[]
  readonly parentColumns: readonly string[]
}

const TEXT = `
  select c.relname as table, f.confrelid::regclass::text as parent,
         (select array_agg(a.attname::text order by k.n) from unnest(f.conkey) with ordinality k (attnum, n)
            join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.attnum) as columns,
         (select array_agg(a.attname::text order by k.n) from unnest(f.confkey) with ordinality k (attnum, n)
            join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.attnum) as "parentColumns"
    from pg_constraint f join pg_class c on c.oid = f.conrelid
   where f.contype = 'f' and f.conrelid = any ($1::oid[]) and f.confrelid <> all ($1::oid[])`

/**
 * Looks for rows that refer to a shared row the target lacks: where no trigger fires, no foreign key is checked.
 *
 * @param keys  only rows of these keys; undefined for all rows of the tenant
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` naming both tables
 */
export async function assertReferences(
  target: pg.PoolClient,
  pairs: readonly TablePair[],
  tenantId: string,
  keys?: ChangedKeys,
): Promise<void> {
  const { rows } = await target.query<Reference>(TEXT, [pairs.map(({ to }) => to.oid)])
  for (const reference of rows) {
    const pair = pairs.find(({ to }) => to.name === reference.table)
    if (pair === undefined) continue
    for (const source of sourcesOf(pair, tenantId, keys)) {
      if ((await target.query(orphaned(source, reference))).rowCount === 0) continue
      throw new TenantError(
        'ERR_MOVE_IMPOSSIBLE',
        `Cannot move the tenant: rows of "${reference.table}" refer to rows of "${reference.parent}" that the target lacks; bring that table to the same rows first`,
      )
    }
  }
}

function sourcesOf({ to }: TablePair, tenantId: string, keys: ChangedKeys | undefined): string[] {
  if (keys === undefined) return [`select * from ${to.from} where tenant_id = ${escapeLiteral(tenantId)}`]
  return parts(keys.get(to.name) ?? []).map((part) => rowsOf(to, to, tenantId, part))
}

function orphaned(source: string, { parent, columns, parentColumns }: Reference): string {
  const given = columns.map((name) => `r.${escapeIdentifier(name)} is not null`)
  const same = columns.map((name, i) => `p.${escapeIdentifier(parentColumns[i] ?? '')} = r.${escapeIdentifier(name)}`)
  return `select from (${source}) r where ${given.join(' and ')}
            and not exists (select from ${parent} p where ${same.join(' and ')}) limit 1`
}
