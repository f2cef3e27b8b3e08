import type pg from 'pg'
import { escapeIdentifier } from 'pg'
import { readDiff } from './diff-backup.ts'
import { fitTables } from './fit-tables.ts'
import { advanceSequences, type Load, proveReferences, unproven } from './load-rows.ts'
import { openFor, type RestoreOptions } from './restore-backup.ts'
import { columnsWith, type StagedTable, stageTable } from './stage-rows.ts'
import { type BackupRoom, schemaOf, withFence } from './tenant-session.ts'

export interface MergeOptions extends RestoreOptions {
  /** Gives rows that changed since their old values as well. @defaultValue false: only missing rows come back */
  readonly changed?: boolean
}

export interface MergedTable {
  readonly table: string
  readonly inserted: number
  readonly updated: number
}

/**
 * Brings rows back that were deleted since a backup, and leaves all others as they are. Rows that were added since stay.
 * All or nothing, in one transaction, with the checks of `restoreBackup`.
 *
 * @throws as `restoreBackup`
 */
export async function mergeBackup(
  room: BackupRoom,
  name: string,
  tenant?: string,
  options: MergeOptions = {},
): Promise<MergedTable[]> {
  const { artefact, found } = await openFor(room, name, tenant, options)
  for (const table of artefact.manifest.tables) await artefact.prove(table)
  return withFence(room, found, `merge into tenant "${found.slug}"`, async (client) => {
    const { fitting, untouched } = await fitTables(client, artefact, schemaOf(found), options.tables ?? [])
    const merged: MergedTable[] = []
    for (const fit of fitting) {
      const staged = await stageTable(client, artefact, fit, found.id)
      merged.push(await mergeTable(client, staged, found.id, options.changed === true))
      await client.query(`drop table ${staged.stage}, ${staged.differences}`)
    }
    await advanceSequences(client, fitting)
    const tables = [...fitting.map(({ table }) => table), ...untouched]
    await proveReferences(client, { artefact, fitting, tables, tenantId: found.id } satisfies Load)
    return merged
  })
}

async function mergeTable(
  client: pg.ClientBase,
  staged: StagedTable,
  tenantId: string,
  withChanged: boolean,
): Promise<MergedTable> {
  const { entry, table, stage, same } = staged
  const wanted = await readDiff(client, staged)
  const mine = `l.tenant_id = '${tenantId}'::uuid`
  const target = `${escapeIdentifier(table.schema)}.${escapeIdentifier(table.name)}`
  const own = `'${tenantId}'::uuid`
  const names = ['tenant_id', ...entry.columns.map(({ name }) => escapeIdentifier(name))]
  const insert = `insert into ${target} (${names.join(', ')}) overriding system value
    select ${[own, ...columnsWith(entry, 's')].join(', ')} from ${stage} s
     where not exists (select from ${table.from} l where ${mine} and ${same})`
  const inserted = wanted.missing === 0 ? 0 : ((await client.query(insert)).rowCount ?? 0)
  const updated = withChanged && wanted.changed > 0 ? await updateChanged(client, staged, target, mine) : 0
  if (inserted !== wanted.missing || (withChanged && updated !== wanted.changed))
    throw unproven(
      `table "${entry.name}" took ${inserted} of ${wanted.missing} missing and ${updated} of ${wanted.changed} changed rows`,
    )
  return { table: entry.name, inserted, updated }
}

async function updateChanged(
  client: pg.ClientBase,
  { entry, table, stage, same }: StagedTable,
  target: string,
  mine: string,
): Promise<number> {
  const isIdentity = (name: string) => table.columns.some((column) => column.name === name && column.identity)
  const values = entry.columns.filter(({ name }) => !entry.key.includes(name) && !isIdentity(name))
  const text = (alias: string) => `row(${columnsWith(entry, alias).join(', ')})::text`
  const set = values.map(({ name }) => `${escapeIdentifier(name)} = s.${escapeIdentifier(name)}`).join(', ')
  const { rowCount } = await client.query(
    `update ${target} l set ${set} from ${stage} s where ${mine} and ${same} and ${text('l')} is distinct from ${text('s')}`,
  )
  return rowCount ?? 0
}
