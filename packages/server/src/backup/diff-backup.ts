import type pg from 'pg'
import { fitTables } from './fit-tables.ts'
import { openFor, type RestoreOptions } from './restore-backup.ts'
import { type StagedTable, stageTable } from './stage-rows.ts'
import { type BackupRoom, schemaOf, withScratchTables } from './tenant-session.ts'

/** Keys shown of each kind of difference. */
const SHOWN_KEYS = 20

/** How the tenant's rows of a table differ from those of a backup. */
export interface TableDiff {
  readonly table: string
  readonly same: number
  /** In the backup, and no longer there. */
  readonly missing: number
  /** There, and not in the backup. */
  readonly extra: number
  readonly changed: number
  /** Keys of the first of each kind, as text by column. */
  readonly keys: Readonly<Record<'missing' | 'extra' | 'changed', readonly Readonly<Record<string, string>>[]>>
}

/**
 * Compares a tenant's rows with those of a backup, and writes nothing.
 *
 * @throws as `restoreBackup`
 */
export async function diffBackup(
  room: BackupRoom,
  name: string,
  tenant?: string,
  options: RestoreOptions = {},
): Promise<TableDiff[]> {
  const { artefact, found } = await openFor(room, name, tenant, options)
  for (const table of artefact.manifest.tables) await artefact.prove(table)
  return withScratchTables(room, found, `compare tenant "${found.slug}"`, async (client) => {
    const { fitting } = await fitTables(client, artefact, schemaOf(found), options.tables ?? [])
    const diffs: TableDiff[] = []
    for (const fit of fitting) {
      const staged = await stageTable(client, artefact, fit, found.id)
      diffs.push(await readDiff(client, staged))
      await client.query(`drop table ${staged.stage}, ${staged.differences}`)
    }
    return diffs
  })
}

export async function readDiff(client: pg.ClientBase, { entry, differences }: StagedTable): Promise<TableDiff> {
  const { rows } = await client.query<{ kind: keyof TableDiff['keys']; rows: number; keys: Record<string, string>[] }>(
    `select kind, count(*)::int as rows, json_agg(key) filter (where place <= ${SHOWN_KEYS}) as keys
       from (select kind, key, row_number() over (partition by kind) as place from ${differences}) d group by kind`,
  )
  const of = (kind: keyof TableDiff['keys']) => rows.find((row) => row.kind === kind)
  const [missing, extra, changed] = [of('missing')?.rows ?? 0, of('extra')?.rows ?? 0, of('changed')?.rows ?? 0]
  return {
    table: entry.name,
    same: entry.rows - missing - changed,
    missing,
    extra,
    changed,
    keys: { missing: of('missing')?.keys ?? [], extra: of('extra')?.keys ?? [], changed: of('changed')?.keys ?? [] },
  }
}
