import { randomBytes } from 'node:crypto'
import { ArtefactError } from 'rowhouse'
import type { Migration } from '../fleet/migration.ts'
import { ensureTemplate } from '../provision/template-database.ts'
import { assertUnbound } from '../registry/assert-unbound.ts'
import { toBackupError } from './backup-error.ts'
import { fitTables } from './fit-tables.ts'
import { brokenReferences, type Load, replaceRows, unproven } from './load-rows.ts'
import { openArtefact } from './open-artefact.ts'
import { type BackupRoom, requireTenant, settle } from './tenant-session.ts'

/** What rehearsing takes besides the room: the databases of tenants are made of the migrations. */
export interface Stage {
  readonly rootKeyText: string
  readonly migrations: readonly Migration[]
}

export interface DrillReport {
  readonly name: string
  readonly tenant: string
  readonly takenAt: string
  readonly ageMs: number
  readonly rows: number
  /** Rows that refer to rows of reference tables, which live outside of a tenant's backup. */
  readonly sharedReferences: readonly string[]
  readonly ms: number
}

/**
 * Rehearses a restore: loads the newest backup of a tenant into a database made for it, with all checks, and drops it.
 * The tenant and its rows are not touched.
 *
 * @param server  where the database is made. @defaultValue the tenant's own
 * @throws {ArtefactError} `ERR_ARTEFACT_NOT_FOUND` for a tenant without a backup, and whatever a restore is refused with
 */
export async function drillBackup(
  room: BackupRoom,
  { rootKeyText, migrations }: Stage,
  tenant: string,
  server?: string,
): Promise<DrillReport> {
  const beganMs = performance.now()
  const { id, slug, placement } = await requireTenant(room, tenant)
  const name = (await room.store.list(id)).at(-1)
  if (name === undefined)
    throw new ArtefactError(
      'ERR_ARTEFACT_NOT_FOUND',
      `Cannot rehearse a restore of tenant "${slug}": it has no backup`,
      {
        tenantId: id,
      },
    )
  const artefact = await openArtefact(room, name)
  for (const table of artefact.manifest.tables) await artefact.prove(table)
  const shared = { server: server ?? placement.server, database: undefined }
  const { connections } = room
  const template = await ensureTemplate(connections, rootKeyText, shared.server, migrations)
  const database = `rowhouse_drill_${randomBytes(8).toString('hex')}`
  const platform = await connections.platformId()
  await connections.use(shared, async (client) => {
    await client.query(`create database ${database} template ${template}`)
    // As for the database of a tenant: nobody else gets in, and what a killed drill leaves is found among the orphans.
    await client.query(
      `revoke all on database ${database} from public; comment on database ${database} is 'rowhouse ${platform}'`,
    )
  })
  const home = { ...shared, database }
  try {
    const { rows, sharedReferences } = await connections.use(home, async (client) => {
      await client.query('begin')
      await settle(client, 'public')
      await assertUnbound(client, 'rehearse a restore')
      await client.query('set local session_replication_role = replica')
      const { fitting, untouched } = await fitTables(client, artefact, 'public', [])
      const tables = [...fitting.map(({ table }) => table), ...untouched]
      const load: Load = { artefact, fitting, tables, tenantId: id }
      const loaded = await replaceRows(client, load)
      const broken = await brokenReferences(client, load)
      await client.query('commit')
      const own = broken.filter(({ shared }) => !shared)
      if (own.length > 0) throw unproven(own.map((each) => `${each.rows} rows break ${each.constraint}`).join('; '))
      const notes = broken.map((each) => `${each.rows} rows of ${each.table} refer to ${each.to} (${each.constraint})`)
      return { rows: loaded, sharedReferences: notes }
    })
    const { takenAt } = artefact.manifest
    const ageMs = Date.now() - new Date(takenAt).getTime()
    return { name, tenant: slug, takenAt, ageMs, rows, sharedReferences, ms: performance.now() - beganMs }
  } catch (error) {
    throw toBackupError(error, `rehearse a restore of tenant "${slug}"`)
  } finally {
    await connections.disconnect(home)
    await connections.use(shared, (client) => client.query(`drop database if exists ${database} with (force)`))
  }
}
