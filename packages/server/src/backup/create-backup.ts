import { createHash } from 'node:crypto'
import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import type { RegisteredTenant } from 'rowhouse/install'
import { copyOut } from '../tenant-data/copy-rows.ts'
import { listTenantTables, type TenantTable } from '../tenant-data/tenant-tables.ts'
import { createDataKey, nameOfKey } from './artefact-key.ts'
import type { ArtefactWriter } from './artefact-store.ts'
import { type FrameContext, writeFrames } from './frames.ts'
import { FORMAT, FORMAT_VERSION, type Manifest, signManifest, type TableEntry } from './manifest.ts'
import { RowSum } from './row-sum.ts'
import { type BackupRoom, nameArtefact, requireTenant, schemaOf, withSnapshot } from './tenant-session.ts'

/** What was backed up. */
export interface BackupReport {
  readonly name: string
  readonly tenant: string
  readonly takenAt: string
  readonly tables: number
  readonly rows: number
  /** As they lie in the store. */
  readonly bytes: number
  readonly ms: number
}

/** A table that was written, read or loaded. */
export interface TableProgress {
  readonly table: string
  readonly rows: number
  readonly done: number
  readonly total: number
}

export interface BackupOptions {
  /** Told of each table when it is done. */
  readonly onTable?: (progress: TableProgress) => void
}

/**
 * Writes a tenant's rows as they are at one moment, with everything it takes to put them back anywhere. The tenant works
 * on meanwhile. What fails leaves nothing behind that looks like a backup.
 *
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND`
 * @throws {ArtefactError} `ERR_ARTEFACT_STORE` when the store is full or cannot be written
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` for a login that policies bind
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`, `ERR_TENANT_MOVING`; safe to retry
 */
export async function createBackup(
  room: BackupRoom,
  tenant: string,
  options: BackupOptions = {},
): Promise<BackupReport> {
  const beganMs = performance.now()
  const found = await requireTenant(room, tenant)
  const platform = await room.connections.platformId()
  return withSnapshot(room, found, `back up tenant "${found.slug}"`, async (client) => {
    const { rows } = await client.query<{ at: Date; postgres: string }>(
      `select clock_timestamp() as at, current_setting('server_version') as postgres`,
    )
    const { at = new Date(), postgres = '' } = rows[0] ?? {}
    const { artefact, name } = nameArtefact(found.id, at)
    const { key, wrapped } = createDataKey(room.rootKey, found.id, artefact)
    const writer = await room.store.begin(name)
    try {
      const tables = await writeTables(client, found, { key, artefact }, writer, options)
      const manifest: Manifest = {
        format: FORMAT,
        version: FORMAT_VERSION,
        artefact,
        platform,
        tenant: { id: found.id, slug: found.slug },
        source: { model: found.placement.model, server: found.placement.server, epoch: found.epoch, postgres },
        takenAt: at.toISOString(),
        schemaDigest: digestOfTables(tables),
        key: { name: nameOfKey(room.rootKey, found.id), wrapped },
        tables,
      }
      await writer.commit(signManifest(room.rootKey, manifest))
      return { ...summaryOf(name, manifest), ms: performance.now() - beganMs }
    } catch (error) {
      await writer.abort()
      throw error
    }
  })
}

/** Facts of an artefact for people. */
export function summaryOf(name: string, { tenant, takenAt, tables }: Manifest): Omit<BackupReport, 'ms'> {
  const total = (of: (table: TableEntry) => number) => tables.reduce((sum, table) => sum + of(table), 0)
  const bytes = total(({ file }) => file.bytes)
  return { name, tenant: tenant.slug, takenAt, tables: tables.length, rows: total(({ rows }) => rows), bytes }
}

/** Equal for tables with equal columns and keys, in whatever model they are. */
function digestOfTables(tables: readonly Pick<TableEntry, 'name' | 'columns' | 'key'>[]): string {
  const shape = tables
    .map(({ name, columns, key }) => JSON.stringify([name, columns.map(({ name, type }) => [name, type]).sort(), key]))
    .sort()
  return createHash('sha256').update(shape.join('\n')).digest('hex')
}

async function writeTables(
  client: pg.PoolClient,
  tenant: RegisteredTenant,
  context: Omit<FrameContext, 'file'>,
  writer: ArtefactWriter,
  { onTable }: BackupOptions,
): Promise<TableEntry[]> {
  const tables = await listTenantTables(client, schemaOf(tenant))
  const entries: TableEntry[] = []
  for (const [index, table] of tables.entries()) {
    const name = `${String(index + 1).padStart(4, '0')}.rows`
    const columns = columnsOf(table)
    const sum = new RowSum()
    const sink = await writer.open(name)
    const source = summed(copyOut(client, copyOutOf(table, columns, tenant.id)), sum)
    const digest = await writeFrames({ ...context, file: index + 1 }, source, sink)
    entries.push({
      name: table.name,
      columns,
      key: table.key,
      rows: sum.rows,
      sum: sum.text,
      sequences: await readSequences(client, table, tenant),
      file: { name, ...digest },
    })
    onTable?.({ table: table.name, rows: sum.rows, done: index + 1, total: tables.length })
  }
  return entries
}

/** All but `tenant_id`: where the rows arrive, that is filled in. */
export function columnsOf({ columns }: TenantTable): { name: string; type: string }[] {
  return columns.filter(({ name }) => name !== 'tenant_id').map(({ name, type }) => ({ name, type }))
}

/** Quoted names of columns, safe to splice. */
export function columnList(columns: readonly { readonly name: string }[]): string {
  return columns.map(({ name }) => escapeIdentifier(name)).join(', ')
}

/** @param tenantId  a UUID, as the registry has it */
export function copyOutOf(
  { from }: TenantTable,
  columns: readonly { readonly name: string }[],
  tenantId: string,
  options = '',
): string {
  return `copy (select ${columnList(columns)} from ${from} where tenant_id = '${tenantId}'::uuid) to stdout ${options}`
}

/** Hands rows on and sums them up. */
export async function* summed(rows: AsyncIterable<Buffer>, sum: RowSum): AsyncGenerator<Buffer> {
  for await (const chunk of rows) {
    sum.add(chunk)
    yield chunk
  }
}

/**
 * The last number of each sequence. A shared one belongs to all tenants: what counts is the greatest number among the
 * tenant's own rows, and what it says of others stays out.
 */
async function readSequences(client: pg.ClientBase, table: TenantTable, { id, placement }: RegisteredTenant) {
  const values: { column: string; value: string }[] = []
  for (const { column, sequence } of table.sequences) {
    const text =
      placement.model === 'pooled'
        ? `select max(${escapeIdentifier(column)})::text as value from ${table.from} where tenant_id = $1`
        : `select case when is_called then last_value::text end as value from ${sequence} where $1::uuid is not null`
    const { rows } = await client.query<{ value: string | null }>(text, [id])
    const value = rows[0]?.value
    if (typeof value === 'string') values.push({ column, value })
  }
  return values
}
