import type { Rowhouse } from 'rowhouse'
import type { createTenantAdmin } from 'rowhouse/install'
import { type LabTenant, numberPatternOf } from '../lab/lab-tenant.ts'
import type { ReportProgress } from '../progress.ts'
import type { TenantProfile } from '../seed/profiles.ts'

type TenantAdmin = ReturnType<typeof createTenantAdmin>

/** Makes the tenants that are missing. */
export async function ensureTenants(
  admin: TenantAdmin,
  profiles: readonly TenantProfile[],
  onProgress: ReportProgress,
): Promise<void> {
  for (const [done, { slug, name }] of profiles.entries()) {
    if ((await admin.find(slug)) === undefined) await admin.create({ slug, name })
    onProgress({ step: 'tenants', done: done + 1, total: profiles.length })
  }
}

/** How many tenants take part in the laboratory. */
const LAB_TENANTS = 3

/** A key of the laboratory is revoked when the demonstration stops; should it be killed, the key ends with the day. */
const KEY_LIFETIME_MS = 86_400_000

export interface LabTenants {
  readonly tenants: readonly LabTenant[]
  /** Revokes their keys. */
  release(): Promise<void>
}

/** Gives the first tenants an API key each and picks a shipment of each for the others to aim at. */
export async function enrolLabTenants(
  admin: TenantAdmin,
  rowhouse: Rowhouse,
  profiles: readonly TenantProfile[],
): Promise<LabTenants> {
  const keyIds: string[] = []
  const tenants: LabTenant[] = []
  for (const profile of profiles.slice(0, LAB_TENANTS)) {
    const { slug, name } = profile
    const { key, id: keyId } = await admin.createApiKey(slug, {
      name: 'attack lab',
      expiresAt: new Date(Date.now() + KEY_LIFETIME_MS),
    })
    keyIds.push(keyId)
    const [id, shipment] = await rowhouse.withTenant(slug, async (db) => [
      rowhouse.currentTenant().id,
      await db.one<{ id: string; number: string }>('select id, number from shipment order by created_at desc limit 1'),
    ])
    tenants.push({
      slug,
      name,
      id,
      shipmentId: shipment.id,
      shipmentNumber: shipment.number,
      numberPattern: numberPatternOf(profile),
      apiKey: key,
    })
  }
  return {
    tenants,
    release: async () => {
      for (const id of keyIds) await admin.revokeApiKey(id)
    },
  }
}
