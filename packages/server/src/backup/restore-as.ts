import type { ControlPlane } from '../control-plane.ts'
import type { ProvisioningRequest } from '../provision/provisioning-request.ts'
import { openArtefact } from './open-artefact.ts'
import { assertPlatform, type RestoreOptions, type RestoreReport, restoreInto } from './restore-backup.ts'
import type { BackupRoom } from './tenant-session.ts'

/**
 * Makes a new tenant and gives it the rows of a backup, beside the tenant they were made of, in whatever model the request
 * or the rules say. Nobody is let in before they are there. The same call again goes on where it failed.
 *
 * @throws as `restoreBackup` and `ControlPlane.provision`; the new tenant stays suspended when its rows could not be loaded
 */
export async function restoreAs(
  room: BackupRoom,
  plane: Pick<ControlPlane, 'provision' | 'tenants'>,
  name: string,
  request: Omit<ProvisioningRequest, 'idempotencyKey'>,
  options: Omit<RestoreOptions, 'tables'> = {},
): Promise<RestoreReport> {
  const artefact = await openArtefact(room, name)
  await assertPlatform(room, artefact, options.acceptPlatform)
  for (const table of artefact.manifest.tables) await artefact.prove(table)
  const made = await plane.provision({
    ...request,
    idempotencyKey: `restore:${artefact.manifest.artefact}:${request.slug}`,
  })
  const tenant = made.state === 'suspended' ? made : await plane.tenants.suspend(made.id)
  const report = await restoreInto(room, artefact, tenant, options)
  await plane.tenants.resume(tenant.id)
  return report
}
