/**
 * `rowhouse/install`: what an operator does to a database. Needs an operator's login; never imported by code that
 * serves requests.
 */

export { becomeTenant } from './migrate/as-tenant.ts'
export { type Distribution, distribute, distributeWith } from './migrate/citus-distribute.ts'
export { type InstallCitusOptions, installCitus } from './migrate/citus-install.ts'
export { type RebalanceOptions, rebalance } from './migrate/citus-rebalance.ts'
export { type InstallOptions, type InstallReport, install } from './migrate/install.ts'
export { type ProtectOptions, protect, type TablePlan, type TableToProtect } from './migrate/protect.ts'
export type {
  ApiKeyToCreate,
  Crossing,
  Decoy,
  DecoyToCreate,
  RegisteredTenant,
  TenantToCreate,
} from './migrate/tenant-registry.ts'
export { createTenantAdmin, type TenantAdmin } from './migrate/tenants.ts'
export { readConnectionUrl, urlOfDatabase } from './postgres/connection-url.ts'
export { parseRootKey, type RootKey } from './seal/tenant-key.ts'
