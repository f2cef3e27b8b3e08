import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import { ArtefactError } from 'rowhouse'
import { advanceSequence } from '../tenant-data/advance-sequence.ts'
import { copyIn, copyOut } from '../tenant-data/copy-rows.ts'
import { type BrokenReference, findBrokenReferences } from '../tenant-data/foreign-keys.ts'
import type { TenantTable } from '../tenant-data/tenant-tables.ts'
import { columnList, copyOutOf, summed, type TableProgress } from './create-backup.ts'
import type { FittingTable } from './fit-tables.ts'
import { type Artefact, assertSum } from './open-artefact.ts'
import { RowSum } from './row-sum.ts'
import { fillTenantId } from './tenant-session.ts'

/** What is loaded where. */
export interface Load {
  readonly artefact: Artefact
  readonly fitting: readonly FittingTable[]
  /** All tables of the home. */
  readonly tables: readonly TenantTable[]
  /** Whose the rows become. */
  readonly tenantId: string
  readonly onTable?: ((progress: TableProgress) => void) | undefined
}

/**
 * Replaces a tenant's rows by those of an artefact, reads them back and compares them with the manifest.
 *
 * @param client  inside a transaction in which triggers do not fire; it is to be undone when this throws
 * @throws {ArtefactError} `ERR_ARTEFACT_DAMAGED`, `ERR_RESTORE_UNPROVEN`
 */
export async function replaceRows(client: pg.ClientBase, load: Load): Promise<number> {
  const { artefact, fitting, tenantId, onTable } = load
  await fillTenantId(client, tenantId)
  for (const { table } of fitting.toReversed())
    await client.query(`delete from ${table.from} where tenant_id = $1`, [tenantId])
  let rows = 0
  for (const [index, fit] of fitting.entries()) {
    await loadTable(client, artefact, fit, tenantId)
    await proveTable(client, fit, tenantId)
    rows += fit.entry.rows
    onTable?.({ table: fit.entry.name, rows: fit.entry.rows, done: index + 1, total: fitting.length })
  }
  await advanceSequences(client, fitting)
  return rows
}

/** Reads rows of an artefact into a table; each is checked again on the way. */
export async function copyRows(
  client: pg.ClientBase,
  artefact: Artefact,
  { entry }: FittingTable,
  into: string,
): Promise<void> {
  const sum = new RowSum()
  const rows = summed(artefact.rows(entry), sum)
  await copyIn(client, `copy ${into} (${columnList(entry.columns)}) from stdin`, rows)
  assertSum(artefact, entry, sum)
}

/** @throws {ArtefactError} `ERR_RESTORE_UNPROVEN` for rows that refer to rows that are not there */
export async function proveReferences(client: pg.ClientBase, load: Load): Promise<void> {
  const broken = await brokenReferences(client, load)
  if (broken.length > 0)
    throw unproven(
      `${broken.map(({ rows, table, constraint, to }) => `${rows} rows of "${table}" refer to rows of "${to}" that are not there (${constraint})`).join('; ')}; restore those tables as well`,
    )
}

export function brokenReferences(
  client: pg.ClientBase,
  { tables, fitting, tenantId }: Load,
): Promise<BrokenReference[]> {
  const loaded = fitting.map(({ entry }) => entry.name)
  return findBrokenReferences(client, tables, loaded, tenantId)
}

async function loadTable(client: pg.ClientBase, artefact: Artefact, fit: FittingTable, tenantId: string) {
  const { entry, table } = fit
  const into = `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.name)}`
  // COPY has no way to name no column.
  if (entry.columns.length === 0)
    await client.query(`insert into ${into} (tenant_id) select $1 from generate_series(1, $2)`, [tenantId, entry.rows])
  else await copyRows(client, artefact, fit, into)
}

/** What PostgreSQL has now is what was backed up, by the same sum, read from the table and not from the way there. */
async function proveTable(client: pg.ClientBase, { entry, table }: FittingTable, tenantId: string): Promise<void> {
  const sum = new RowSum()
  for await (const _ of summed(copyOut(client, copyOutOf(table, entry.columns, tenantId)), sum));
  if (sum.rows === entry.rows && sum.text === entry.sum) return
  throw unproven(
    `table "${entry.name}" has ${sum.rows} rows with sum ${sum.text} after loading, the backup has ${entry.rows} with ${entry.sum}; look for triggers that fire ALWAYS, and for rules`,
  )
}

export async function advanceSequences(client: pg.ClientBase, fitting: readonly FittingTable[]): Promise<void> {
  for (const { entry, table } of fitting) {
    for (const { column, value } of entry.sequences) {
      const own = table.sequences.find((each) => each.column === column)
      if (own === undefined) continue
      await advanceSequence(client, own.sequence, value)
    }
  }
}

export function unproven(what: string): ArtefactError {
  return new ArtefactError('ERR_RESTORE_UNPROVEN', `Cannot restore: ${what}; nothing was changed`)
}
