/**
 * `rowhouse/install`: what an operator does to a database. Needs an operator's login; never imported by code that
 * serves requests.
 */
export { type InstallOptions, type InstallReport, install } from './migrate/install.ts'
export { type ProtectOptions, protect, type TablePlan, type TableToProtect } from './migrate/protect.ts'
export {
  type ApiKeyToCreate,
  type Crossing,
  createTenantAdmin,
  type RegisteredTenant,
  type TenantAdmin,
  type TenantToCreate,
} from './migrate/tenants.ts'
