import { createHash } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import type { HomeAddress, OperatorConnections } from '../registry/operator-connections.ts'
import { addRanges, checksumRanges, PLAIN_TEXT } from '../tenant-data/checksum.ts'
import { listTenantTables } from '../tenant-data/tenant-tables.ts'

/** What a home holds of a tenant, read past the walls: rows and checksum by table, equal in whatever order and model. */
export interface TenantDigest {
  readonly rows: number
  /** 16 hexadecimal digits that stand for all rows of all tables. */
  readonly digest: string
  /** Rows and checksum, by table. */
  readonly tables: Readonly<Record<string, string>>
}

/** Reads every row of a tenant in one snapshot. */
export function digestTenant(
  connections: OperatorConnections,
  home: HomeAddress,
  tenantId: string,
): Promise<TenantDigest> {
  return connections.use(home, async (client) => {
    await client.query(`begin isolation level repeatable read read only; ${PLAIN_TEXT}`)
    const tables: Record<string, string> = {}
    let rows = 0
    for (const table of await listTenantTables(client, home.schema ?? 'public')) {
      // Homes made at different times may have their columns in another order.
      const columnList = table.columns
        .map(({ name }) => escapeIdentifier(name))
        .sort()
        .join(', ')
      const sum = addRanges(await checksumRanges(client, { ...table, columnList }, tenantId))
      tables[table.name] = `${sum.rows} ${sum.sum}`
      rows += sum.rows
    }
    await client.query('commit')
    const text = JSON.stringify(Object.entries(tables).sort())
    return { rows, tables, digest: createHash('sha256').update(text).digest('hex').slice(0, 16) }
  })
}

/** Names of tables that differ. */
export function differingTables(one: TenantDigest, other: TenantDigest): string[] {
  const names = new Set([...Object.keys(one.tables), ...Object.keys(other.tables)])
  return [...names].filter((name) => one.tables[name] !== other.tables[name]).sort()
}
