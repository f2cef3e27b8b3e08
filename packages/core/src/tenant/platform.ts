import { MAIN_POOLED } from './placement.ts'
import type { Tenant } from './tenant.ts'
import type { TenantId } from './tenant-id.ts'

/**
 * The platform as a tenant of its own database: the nil UUID, which no row of a tenant table carries.
 *
 * Its seal opens the directory and cross-tenant work. SQL injected into a tenant's transaction cannot make
 * that seal, so it can neither list tenants nor test whether a name is taken.
 */
export const PLATFORM: Tenant = Object.freeze({
  id: '00000000-0000-0000-0000-000000000000' as TenantId,
  slug: 'platform',
  state: 'active',
  plan: 'platform',
  placement: MAIN_POOLED,
  epoch: 1,
  keyVersion: 1,
})
