import pg from 'pg'
import type { TenantTable } from './tenant-tables.ts'

/** How one table was read. */
export interface TableReading {
  /** With its schema, as in SQL. */
  readonly table: string
  readonly rows: number
  readonly bytes: number
  readonly tenants: number
  readonly how: 'counted' | 'sampled' | 'from statistics' | 'unknown'
  readonly why: string
}

export interface TableToRead {
  readonly table: TenantTable
  readonly tenantColumn: string
  /** Time for this table, in milliseconds. */
  readonly shareMs: number
  readonly countUpToBytes: number
  /** Rows and bytes by tenant over all tables: this one's are added. */
  readonly rows: Map<string, { rows: number; bytes: number }>
}

/** Pages of a sample: 8 MB are read in well under a second from a slow disk, and hold tens of thousands of rows. */
const SAMPLED_PAGES = 1_024

/** A sample of less would say nothing about any tenant. */
const LEAST_MS = 20

const QUERY_CANCELED = '57014'
const LOCK_NOT_AVAILABLE = '55P03'

/** More tenants than this are counted but not told apart, so that a wrong column cannot fill the memory. */
const MAX_TENANTS = 1_000_000

/** Counts, samples or estimates the rows of each tenant in one table, within its share of the time. */
export async function countRowsPerTenant(client: pg.Client, reading: TableToRead): Promise<TableReading> {
  const { table, countUpToBytes, shareMs } = reading
  const share = Math.min(1, SAMPLED_PAGES / Math.max(1, table.pages))
  const attempts = table.bytes <= countUpToBytes || share === 1 ? [1, share] : [share]
  for (const part of new Set(attempts)) {
    if (table.locked || shareMs < LEAST_MS) break
    const counted = await tryCount(client, reading, part, shareMs / attempts.length)
    if (counted !== undefined) return describeCount(table, counted, part)
  }
  return fromStatistics(table, shareMs)
}

interface Count {
  readonly rows: number
  readonly tenants: number
}

/** Returns undefined when the time did not suffice or the table was locked. */
async function tryCount(
  client: pg.Client,
  { table, tenantColumn, rows: perTenant }: TableToRead,
  part: number,
  limitMs: number,
): Promise<Count | undefined> {
  await client.query('savepoint one_table')
  try {
    await client.query(`select set_config('statement_timeout', $1, true)`, [String(Math.max(1, Math.ceil(limitMs)))])
    const column = pg.escapeIdentifier(tenantColumn)
    const sample = part < 1 ? `tablesample system (${part * 100}) repeatable (1)` : ''
    const { rows } = await client.query<{ tenant: string; rows: string }>(
      `select ${column}::text as tenant, count(*) as rows from ${table.quoted} ${sample}
        where ${column} is not null group by ${column} limit ${MAX_TENANTS}`,
    )
    return addUp(rows, table, part, perTenant)
  } catch (error) {
    const tooSlow = error instanceof pg.DatabaseError && [QUERY_CANCELED, LOCK_NOT_AVAILABLE].includes(error.code ?? '')
    if (!tooSlow) throw error
    return undefined
  } finally {
    // Gives back the lock, too: a migration that waited for it would make everybody wait behind it.
    await client.query('rollback to savepoint one_table')
  }
}

function addUp(
  found: readonly { tenant: string; rows: string }[],
  table: TenantTable,
  part: number,
  perTenant: TableToRead['rows'],
): Count {
  const seen = found.reduce((sum, { rows }) => sum + Number(rows), 0)
  // A sample is a share of the pages; the statistics know the rows better where there are any.
  const total = part < 1 ? (table.estimatedRows ?? seen / part) : seen
  const factor = seen === 0 ? 0 : total / seen
  for (const { tenant, rows } of found) {
    const before = perTenant.get(tenant) ?? { rows: 0, bytes: 0 }
    const own = Number(rows) * factor
    perTenant.set(tenant, { rows: before.rows + own, bytes: before.bytes + (own / total) * table.bytes })
  }
  return { rows: Math.round(total), tenants: found.length }
}

function describeCount(table: TenantTable, { rows, tenants }: Count, part: number): TableReading {
  const reading = { table: table.quoted, rows, bytes: table.bytes }
  if (part === 1) return { ...reading, tenants, how: 'counted', why: 'every row was counted' }
  const seen = `${(part * 100).toPrecision(2)} % of ${table.pages} pages`
  const distinct = Math.max(tenants, table.estimatedTenants ?? 0)
  return { ...reading, tenants: distinct, how: 'sampled', why: `${seen} were read` }
}

function fromStatistics(table: TenantTable, shareMs: number): TableReading {
  const { quoted, bytes, estimatedRows: rows, estimatedTenants: tenants } = table
  const why = table.locked
    ? 'somebody holds it'
    : `${Math.max(0, Math.round(shareMs))} ms did not suffice, or somebody holds it`
  if (rows === undefined) return { table: quoted, rows: 0, bytes, tenants: 0, how: 'unknown', why }
  return { table: quoted, rows: Math.round(rows), bytes, tenants: tenants ?? 0, how: 'from statistics', why }
}
