import type pg from 'pg'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { partsOf } from '../tenant-data/delete-rows.ts'
import type { TenantTable } from '../tenant-data/tenant-tables.ts'
import { pipeRows } from './copy-rows.ts'

/** Keys changed since they were last looked at, by table, as JSON objects of the key's columns. */
export type ChangedKeys = ReadonlyMap<string, readonly string[]>

/** Keys named in one statement; they are spliced into it, because COPY takes no parameters. */
const KEYS_PER_STATEMENT = 2_000

/**
 * Takes captured keys out, inside the caller's transaction: they are back if it does not commit.
 *
 * @param atMost  how many, the first captured first; all when left out
 * @returns the keys, each once, and whether there may be more
 */
export async function takeKeys(
  source: pg.PoolClient,
  moveId: string,
  atMost?: number,
): Promise<{ readonly keys: ChangedKeys; readonly more: boolean }> {
  const { rows } = await source.query<{ name: string; keys: string[]; taken: number }>(
    // One scan up to a bound, and no join: what is known of how many keys there are is always out of date.
    `with taken as (
       delete from rowhouse.captured_key where move_id = $1 and id <= (
         select max(id) from (select id from rowhouse.captured_key where move_id = $1 order by id limit $2) first)
       returning table_name, key)
     select table_name as name, array_agg(distinct key::text) as keys, count(*)::int as taken from taken group by 1`,
    [moveId, atMost ?? null],
  )
  const taken = rows.reduce((sum, row) => sum + row.taken, 0)
  return { keys: new Map(rows.map(({ name, keys }) => [name, keys])), more: taken === atMost }
}

/**
 * Makes the target's rows of these keys what the source's are now. All keys of one table are removed before any row is
 * written: a value that must be unique may have gone from one row to another. Of keys that are equal and not written
 * alike (1.0 and 1.00) both may be there, in two parts of the keys: each part removes what an earlier one wrote.
 *
 * @param source  inside the transaction that took the keys, so that rows and keys are of one snapshot
 * @param target  inside a transaction in which no trigger fires
 */
export async function copyKeys(
  source: pg.PoolClient,
  target: pg.PoolClient,
  pairs: readonly TablePair[],
  tenantId: string,
  keys: ChangedKeys,
): Promise<number> {
  const changed = pairs.filter(({ from }) => keys.has(from.name))
  let count = 0
  for (const { from, to } of changed) {
    for (const part of parts(keys.get(from.name) ?? [])) {
      await remove(target, to, tenantId, part)
      count += part.length
    }
  }
  for (const { from, to } of changed) {
    for (const [n, part] of parts(keys.get(from.name) ?? []).entries()) {
      if (n > 0) await remove(target, to, tenantId, part)
      await pipeRows(source, rowsOf(from, to, tenantId, part), target, to)
    }
  }
  return count
}

async function remove(target: pg.PoolClient, table: TenantTable, tenantId: string, keys: readonly string[]) {
  const isPartitioned = !table.from.startsWith('only ')
  for (const part of isPartitioned ? await partsOf(target, table) : [table.from]) {
    await target.query(
      `delete from ${part} where ctid = any (array(select t.ctid from ${lookUp(table, part, tenantId, keys, 'ctid')}))
         and tenant_id = ${escapeLiteral(tenantId)}`,
    )
  }
}

/** A table where the tenant lives and the one it goes to; columns in the order of the target's. */
export interface TablePair {
  readonly from: TenantTable
  readonly to: TenantTable
}

/** The query for rows with these keys. */
export function rowsOf(from: TenantTable, columns: TenantTable, tenantId: string, keys: readonly string[]): string {
  const list = columns.columns.map(({ name }) => `t.${escapeIdentifier(name)}`).join(', ')
  return `select ${list} from ${lookUp(from, from.from, tenantId, keys, '*')}`
}

/**
 * Looks up one row after the other by its key, whatever the planner believes of the table. `offset 0` keeps it from joining
 * instead: where statistics do not know of a tenant's rows, it would compare each of them with each key.
 */
function lookUp(
  table: TenantTable,
  from: string,
  tenantId: string,
  keys: readonly string[],
  what: '*' | 'ctid',
): string {
  return `${named(table, keys)} cross join lateral (select ${what} from ${from} t where ${matches(table, tenantId)} offset 0) t`
}

export function parts(keys: readonly string[]): string[][] {
  const all: string[][] = []
  for (let i = 0; i < keys.length; i += KEYS_PER_STATEMENT) all.push(keys.slice(i, i + KEYS_PER_STATEMENT))
  return all
}

/** Each key once, also where two are written differently and equal to the primary key. */
function named(table: TenantTable, keys: readonly string[]): string {
  const columns = table.key.map((name) => {
    const { type = 'text', collation = null } = table.columns.find((column) => column.name === name) ?? {}
    return `${escapeIdentifier(name)} ${type}${collation === null ? '' : ` collate ${collation}`}`
  })
  const record = `jsonb_to_recordset(${escapeLiteral(`[${keys.join(',')}]`)}::jsonb) as k (${columns.join(', ')})`
  return `(select distinct * from ${record}) k`
}

/** Of this tenant only, whatever a key says. */
function matches(table: TenantTable, tenantId: string): string {
  const same = table.key.map((name) => `t.${escapeIdentifier(name)} = k.${escapeIdentifier(name)}`)
  return [...same, `t.tenant_id = ${escapeLiteral(tenantId)}`].join(' and ')
}
