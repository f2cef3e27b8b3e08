import type pg from 'pg'
import { ArtefactError, MigrationError } from 'rowhouse'
import type { RegisteredTenant } from 'rowhouse/install'
import type { TableProgress } from './create-backup.ts'
import { fitTables } from './fit-tables.ts'
import { type Load, proveReferences, replaceRows } from './load-rows.ts'
import { type Artefact, openArtefact } from './open-artefact.ts'
import { type BackupRoom, requireTenant, schemaOf, withFence } from './tenant-session.ts'

export interface RestoreOptions {
  /** Tables to restore. @defaultValue all of the artefact */
  readonly tables?: readonly string[]
  /** Platform the artefact may be of: its id, as the error that refuses it says. @defaultValue this one */
  readonly acceptPlatform?: string
  readonly onTable?: (progress: TableProgress) => void
}

export interface RestoreReport {
  readonly name: string
  readonly tenant: string
  readonly tables: number
  readonly rows: number
  /** Columns the backup does not know, as `table.column`: their rows have the default. */
  readonly filled: readonly string[]
  readonly ms: number
}

/**
 * Replaces a tenant's rows by those of a backup, wherever the tenant lives now. All or nothing, in one transaction; the
 * tenant's statements are refused with `ERR_TENANT_MOVING` until it ends. Rows of other tenants are not touched.
 *
 * Before anything is written the signature, every frame and digest, and the shape of the tables are checked; afterwards, and
 * before it is committed, every row is read back and every foreign key is looked at.
 *
 * @param tenant  slug or id; @defaultValue the tenant the backup was made of
 * @throws {ArtefactError} `ERR_ARTEFACT_NOT_FOUND`, `ERR_ARTEFACT_DAMAGED`, `ERR_ARTEFACT_KEY`, `ERR_ARTEFACT_NEWER`,
 *   `ERR_ARTEFACT_FOREIGN` for another tenant's or platform's, `ERR_RESTORE_UNPROVEN`
 * @throws {MigrationError} `ERR_SCHEMA_DRIFT` when the tables differ, `ERR_PRIVILEGE_MISSING`
 * @throws {UnavailableError} `ERR_TIMEOUT` when the tenant's statements do not end, `ERR_TENANT_MOVING`,
 *   `ERR_DATABASE_UNAVAILABLE`
 */
export async function restoreBackup(
  room: BackupRoom,
  name: string,
  tenant?: string,
  options: RestoreOptions = {},
): Promise<RestoreReport> {
  const { artefact, found } = await openFor(room, name, tenant, options)
  return restoreInto(room, artefact, found, options)
}

/** Restores into any tenant, whoever the artefact was made of: who calls this has made the tenant for it. */
export async function restoreInto(
  room: BackupRoom,
  artefact: Artefact,
  tenant: RegisteredTenant,
  { tables: wanted = [], onTable }: RestoreOptions,
): Promise<RestoreReport> {
  const beganMs = performance.now()
  for (const table of artefact.manifest.tables) await artefact.prove(table)
  return withFence(room, tenant, `restore tenant "${tenant.slug}"`, async (client) => {
    const { fitting, untouched } = await fitTables(client, artefact, schemaOf(tenant), wanted)
    if (wanted.length === 0) await assertEmpty(client, untouched, tenant)
    const tables = [...fitting.map(({ table }) => table), ...untouched]
    const load: Load = { artefact, fitting, tables, tenantId: tenant.id, onTable }
    const rows = await replaceRows(client, load)
    await proveReferences(client, load)
    const filled = fitting.flatMap(({ entry, filled }) => filled.map((column) => `${entry.name}.${column}`))
    const ms = performance.now() - beganMs
    return { name: artefact.name, tenant: tenant.slug, tables: fitting.length, rows, filled, ms }
  })
}

/** Opens an artefact for the tenant it was made of. */
export async function openFor(
  room: BackupRoom,
  name: string,
  tenant: string | undefined,
  { acceptPlatform }: Pick<RestoreOptions, 'acceptPlatform'>,
): Promise<{ artefact: Artefact; found: RegisteredTenant }> {
  const artefact = await openArtefact(room, name)
  await assertPlatform(room, artefact, acceptPlatform)
  const { id, slug } = artefact.manifest.tenant
  const found = await requireTenant(room, tenant ?? id)
  if (found.id !== id)
    throw new ArtefactError(
      'ERR_ARTEFACT_FOREIGN',
      `Cannot restore artefact "${name}" into tenant "${found.slug}": it was made of tenant "${slug}" (${id}); restore it there, or as a new tenant`,
      { tenantId: found.id },
    )
  return { artefact, found }
}

export async function assertPlatform(room: BackupRoom, { name, manifest }: Artefact, accepted?: string): Promise<void> {
  const here = await room.connections.platformId()
  if (manifest.platform === here || manifest.platform === accepted) return
  throw new ArtefactError(
    'ERR_ARTEFACT_FOREIGN',
    `Cannot restore artefact "${name}": it was made on platform ${manifest.platform}, this is ${here}; if that one is the same platform before it was set up again, accept it by its id`,
  )
}

/** A table that is newer than the backup: whether its rows should stay is for people to say. */
async function assertEmpty(
  client: pg.ClientBase,
  untouched: readonly { readonly name: string; readonly from: string }[],
  tenant: RegisteredTenant,
): Promise<void> {
  for (const { name, from } of untouched) {
    const { rowCount } = await client.query(`select from ${from} where tenant_id = $1 limit 1`, [tenant.id])
    if (rowCount === 0) continue
    throw new MigrationError(
      'ERR_SCHEMA_DRIFT',
      `Cannot restore tenant "${tenant.slug}": table "${name}" has rows and is not in the backup; name the tables to restore, and "${name}" stays as it is`,
      { tenantId: tenant.id },
    )
  }
}
