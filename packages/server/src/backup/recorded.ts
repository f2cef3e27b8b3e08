import { recordBackupEvent } from './backup-record.ts'
import { type BackupOptions, type BackupReport, createBackup } from './create-backup.ts'
import { type DrillReport, drillBackup, type Stage } from './drill-backup.ts'
import { type BackupRoom, requireTenant } from './tenant-session.ts'

/** Makes a backup and writes down how that went. A tenant that is being moved is no failure: nothing was tried. */
export async function createRecorded(
  room: BackupRoom,
  tenant: string,
  options: BackupOptions = {},
): Promise<BackupReport> {
  const { id } = await requireTenant(room, tenant)
  const report = await createBackup(room, id, options).catch(async (error) => {
    if (error.code !== 'ERR_TENANT_MOVING') await recordQuietly(room, { tenantId: id, kind: 'backup', error })
    throw error
  })
  await recordBackupEvent(room.connections, { tenantId: id, kind: 'backup', artefact: report.name, rows: report.rows })
  return report
}

/** Rehearses a restore and writes down how that went. */
export async function drillRecorded(
  room: BackupRoom,
  stage: Stage,
  tenant: string,
  server?: string,
): Promise<DrillReport> {
  const { id } = await requireTenant(room, tenant)
  const newest = (await room.store.list(id)).at(-1)
  const report = await drillBackup(room, stage, id, server).catch(async (error) => {
    if (newest !== undefined) await recordQuietly(room, { tenantId: id, kind: 'drill', artefact: newest, error })
    throw error
  })
  await recordBackupEvent(room.connections, { tenantId: id, kind: 'drill', artefact: report.name, rows: report.rows })
  return report
}

/** What failed first is what is to be said. */
async function recordQuietly(room: BackupRoom, event: Parameters<typeof recordBackupEvent>[1]): Promise<void> {
  await recordBackupEvent(room.connections, event).catch(() => {})
}
