import { type Placement, type PlacementRow, toPlacement } from './placement.ts'
import type { TenantId } from './tenant-id.ts'

/**
 * Lifecycle of a tenant. `active` is the only state in which the database answers for it:
 *
 * - `provisioning`: being made; becomes `active`, `standby` or `failed`.
 * - `standby`: made in advance, waits for a customer; is provisioned the rest of the way when one comes.
 * - `active`: serves requests.
 * - `suspended`: exists, refuses everybody; resumes to `active`.
 * - `failed`: could not be made; what was made of it is undone or waits to be resumed.
 * - `offboarding`: leaves; its data is kept until the retention is over.
 * - `erased`: only its id and a digest of its names are left, so that nobody else gets those.
 *
 * The database decides who may follow whom (`rowhouse.check_lifecycle`).
 */
export type TenantState = 'provisioning' | 'standby' | 'active' | 'suspended' | 'failed' | 'offboarding' | 'erased'

/**
 * What the directory says about a tenant: enough to seal a context, nothing to decide access with.
 * Comes from the database through `rowhouse.find_tenant`; may be up to one cache lifetime old, which is
 * safe because the database checks epoch and key version again.
 */
export interface Tenant {
  readonly id: TenantId
  /** Short name and DNS label, unique on the platform. */
  readonly slug: string
  readonly state: TenantState
  /** What the tenant pays for; limits of the process go by it. */
  readonly plan: string
  readonly placement: Placement
  /** Version of the tenant's placement; a seal of another epoch is refused by the database. */
  readonly epoch: number
  /** Version of the tenant's sealing key. */
  readonly keyVersion: number
}

/** The registry's columns of a tenant. */
export interface TenantRow extends PlacementRow {
  readonly id: TenantId
  readonly slug: string
  readonly state: TenantState
  readonly plan: string
  readonly epoch: number
  readonly key_version: number
}

/** Reads a tenant from a row of the registry. */
export function toTenant(row: TenantRow): Tenant {
  const { id, slug, state, plan, epoch } = row
  return { id, slug, state, plan, placement: toPlacement(row), epoch, keyVersion: row.key_version }
}
