import { createTenantAdmin, parseRootKey } from 'rowhouse/install'
import type { ControlPlane } from '../control-plane.ts'
import { readMigrations } from '../fleet/migration-folder.ts'
import type { ProvisioningRequest } from '../provision/provisioning-request.ts'
import { assertCentral } from '../registry/open-registry.ts'
import { OperatorConnections } from '../registry/operator-connections.ts'
import { type ArtefactStore, withCodes } from './artefact-store.ts'
import { forgetBackups } from './backup-record.ts'
import { type BackupOptions, type BackupReport, summaryOf, type TableProgress } from './create-backup.ts'
import { diffBackup, type TableDiff } from './diff-backup.ts'
import type { DrillReport } from './drill-backup.ts'
import { type ExportFormat, type ExportReport, exportTenant } from './export-tenant.ts'
import { type KeepOptions, type KeepReport, keepBackups } from './keep-backups.ts'
import { type MergedTable, type MergeOptions, mergeBackup } from './merge-backup.ts'
import { openArtefact, verifyBackup } from './open-artefact.ts'
import { createRecorded, drillRecorded } from './recorded.ts'
import { restoreAs } from './restore-as.ts'
import { type RestoreOptions, type RestoreReport, restoreBackup } from './restore-backup.ts'
import { type PruneReport, pruneBackups, type Retention } from './retention.ts'
import { type BackupRoom, requireTenant } from './tenant-session.ts'

export interface BackupsOptions {
  /** The operator's URL of the central database: a superuser, or a login with BYPASSRLS. From env or a file, never a flag. */
  readonly url: string | undefined
  /** The root key all databases are installed with. From env or a file. */
  readonly rootKey: string | undefined
  readonly store: ArtefactStore
  /** Folder of the application's migrations, for rehearsals. @defaultValue none: `drill` finds no tables */
  readonly migrations?: string
}

/** An artefact in the store; those that cannot be opened say why. */
export type ListedBackup = Omit<BackupReport, 'ms'> | { readonly name: string; readonly fault: string }

/** Backups of single tenants, in whatever model they live. Names are those `list` returns. */
export interface Backups {
  /** See `createBackup` for what it refuses. */
  create(tenant: string, options?: BackupOptions): Promise<BackupReport>
  /** Returns backups of a tenant, or of all, oldest first. Reads their manifests, not their rows. */
  list(tenant?: string): Promise<ListedBackup[]>
  /** Reads a backup from beginning to end and compares it with its manifest. */
  verify(name: string, options?: { readonly onTable?: (progress: TableProgress) => void }): Promise<BackupReport>
  /** Replaces the tenant's rows. See `restoreBackup` for what it refuses. */
  restore(name: string, tenant?: string, options?: RestoreOptions): Promise<RestoreReport>
  /** Makes a new tenant of a backup, beside the old one. */
  restoreAs(
    plane: Pick<ControlPlane, 'provision' | 'tenants'>,
    name: string,
    request: Omit<ProvisioningRequest, 'idempotencyKey'>,
    options?: Omit<RestoreOptions, 'tables'>,
  ): Promise<RestoreReport>
  /** Compares the tenant's rows with a backup's. Writes nothing. */
  diff(name: string, tenant?: string, options?: RestoreOptions): Promise<TableDiff[]>
  /** Brings back rows that were deleted since. */
  merge(name: string, tenant?: string, options?: MergeOptions): Promise<MergedTable[]>
  /** Writes a tenant's rows for the tenant itself, as CSV or JSON lines. */
  export(tenant: string, folder: string, format?: ExportFormat): Promise<ExportReport>
  /** Restores the newest backup of a tenant into a database made for it, and drops that. */
  drill(tenant: string, options?: { readonly server?: string }): Promise<DrillReport>
  /** Removes old backups; never the last good one of a tenant. */
  prune(retention: Retention, options?: { readonly tenant?: string; readonly dryRun?: boolean }): Promise<PruneReport>
  /**
   * Does what is due, however often it is called: backs up each tenant without a good backup of late, removes old ones,
   * and rehearses the restore that was rehearsed longest ago. What fails is in the report, and the others go on.
   */
  keep(options: KeepOptions): Promise<KeepReport>
  close(): Promise<void>
}

/**
 * Opens the backups of tenants.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID` for a wrong URL or root key, `ERR_NOT_INSTALLED`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 * @example
 * ```ts
 * import { folderStore, openBackups } from 'rowhouse-server'
 * const backups = await openBackups({
 *   url: process.env.ROWHOUSE_ADMIN_URL,
 *   rootKey: process.env.ROWHOUSE_ROOT_KEY,
 *   store: folderStore('backups'),
 * })
 * const { name, rows } = await backups.create('acme')
 * console.log(name, rows)
 * await backups.close()
 * ```
 */
export async function openBackups({ url, rootKey, migrations, ...options }: BackupsOptions): Promise<Backups> {
  const store = withCodes(options.store)
  await assertCentral({ url, rootKey })
  const connections = new OperatorConnections(url as string)
  const tenants = createTenantAdmin({ url, rootKey })
  const room: BackupRoom = { connections, rootKey: parseRootKey(rootKey), tenants, store }
  const idOf = async (tenant: string | undefined) =>
    tenant === undefined ? undefined : (await requireTenant(room, tenant)).id
  const toDrill = async () => ({
    rootKeyText: rootKey as string,
    migrations: migrations === undefined ? [] : await readMigrations(migrations),
  })
  let closing: Promise<unknown> | undefined
  return {
    create: (tenant, options) => createRecorded(room, tenant, options),
    list: async (tenant) => {
      const names = await store.list(await idOf(tenant))
      return Promise.all(names.map((name) => describe(room, name)))
    },
    verify: (name, options) => verifyBackup(room, name, options),
    restore: (name, tenant, options) => restoreBackup(room, name, tenant, options),
    restoreAs: (plane, name, request, options) => restoreAs(room, plane, name, request, options),
    diff: (name, tenant, options) => diffBackup(room, name, tenant, options),
    merge: (name, tenant, options) => mergeBackup(room, name, tenant, options),
    export: (tenant, folder, format = 'csv') => exportTenant(room, tenant, folder, format),
    drill: async (tenant, { server } = {}) => drillRecorded(room, await toDrill(), tenant, server),
    prune: async (retention, { tenant, dryRun = false } = {}) => {
      const tenantId = await idOf(tenant)
      const report = await pruneBackups(room, retention, { dryRun, ...(tenantId !== undefined && { tenantId }) })
      if (!dryRun) await forgetBackups(connections, report.removed)
      return report
    },
    keep: async (options) => keepBackups({ ...room, tenants }, await toDrill(), options),
    close: async () => {
      closing ??= Promise.all([connections.close(), tenants.close()])
      await closing
    },
  }
}

async function describe(room: BackupRoom, name: string): Promise<ListedBackup> {
  try {
    return summaryOf(name, (await openArtefact(room, name)).manifest)
  } catch (error) {
    return { name, fault: (error as Error).message }
  }
}
