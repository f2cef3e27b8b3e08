import type { TenantId } from './tenant-id.ts'

/**
 * Lifecycle of a tenant. `active` is the only state in which the database answers for it:
 *
 * - `active`: serves requests.
 * - `suspended`: exists, refuses everybody; resumes to `active`.
 */
export type TenantState = 'active' | 'suspended'

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
  /** Version of the tenant's placement; a seal of another epoch is refused by the database. */
  readonly epoch: number
  /** Version of the tenant's sealing key. */
  readonly keyVersion: number
}
