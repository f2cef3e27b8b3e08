import type pg from 'pg'
import type { TenantTable } from './tenant-tables.ts'

type Runner = Pick<pg.ClientBase, 'query'>

/** What a table holds of one tenant, whatever the order its rows lie in. */
export interface TableChecksum {
  readonly rows: number
  /** Sum of 60 bits of the MD5 of each row's text, as a decimal number. */
  readonly sum: string
}

/**
 * How values are written as text, for this transaction: what two servers write alike they store alike. Without it the
 * text of a float, a time or an interval depends on the settings of the login.
 */
export const PLAIN_TEXT = `
  set local timezone = 'UTC'; set local datestyle = 'ISO, MDY'; set local intervalstyle = 'postgres';
  set local extra_float_digits = 1; set local bytea_output = 'hex'; set local xmloption = 'content';
  set local lc_monetary = 'C'; set local row_security = off`

/** Rows are told apart by parts of their key's hash, which both sides compute alike. */
const RANGES = 64

/** Expression of a row's digest; the columns are named, so that their order in the table does not matter. */
export function rowDigest({ columns }: Pick<TenantTable, 'columns'>, columnList: string): string {
  return columns.length === 0 ? '0' : `('x' || substr(md5(row(${columnList})::text), 1, 15))::bit(60)::bigint::numeric`
}

function rangeOf(table: TenantTable): string {
  const key =
    table.key.length === 0 ? table.columnList : table.key.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')
  return `('x' || substr(md5(row(${key})::text), 1, 4))::bit(16)::int % ${RANGES}`
}

/**
 * Sums up a tenant's rows of a table by ranges of its key.
 *
 * @param client  inside a transaction that has run `PLAIN_TEXT`; a login that no policy binds
 * @returns by range; ranges without rows are missing
 */
export async function checksumRanges(
  client: Runner,
  table: TenantTable,
  tenantId: string,
): Promise<ReadonlyMap<number, TableChecksum>> {
  const { rows } = await client.query<{ range: number; rows: number; sum: string }>(
    `select ${rangeOf(table)} as range, count(*)::int as rows, sum(${rowDigest(table, table.columnList)})::text as sum
       from ${table.from} where tenant_id = $1 group by 1`,
    [tenantId],
  )
  return new Map(rows.map(({ range, rows: count, sum }) => [range, { rows: count, sum }]))
}

/** Adds ranges up: the checksum of the whole table. */
export function addRanges(ranges: ReadonlyMap<number, TableChecksum>): TableChecksum {
  let rows = 0
  let sum = 0n
  for (const each of ranges.values()) {
    rows += each.rows
    sum += BigInt(each.sum)
  }
  return { rows, sum: String(sum) }
}

/** Ranges in which two sides differ. */
export function differingRanges(
  one: ReadonlyMap<number, TableChecksum>,
  other: ReadonlyMap<number, TableChecksum>,
): number[] {
  const differs = (range: number) => {
    const [a, b] = [one.get(range), other.get(range)]
    return a?.rows !== b?.rows || a?.sum !== b?.sum
  }
  return [...new Set([...one.keys(), ...other.keys()])].filter(differs).sort((a, b) => a - b)
}
