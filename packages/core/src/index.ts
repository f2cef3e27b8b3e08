/**
 * Rowhouse: every tenant behind its own front door, under one roof.
 *
 * This file is the table of contents. Start with `createRowhouse` and `withTenant`; requests get their tenant through
 * `rowhouse/hono`, `/express`, `/fastify`, `/next` or `/nest`; operators use `rowhouse/install`.
 */

// Logs and figures
export { type Logger, tenantLogFields } from './context/log.ts'
// Tenants and whose work it is
export type { ReadRouting, ReadsFrom, TenantContext } from './context/tenant-context.ts'
// Errors
export {
  AccessError,
  type AnyRowhouseError,
  ArtefactError,
  ConfigError,
  HookError,
  IsolationError,
  isRowhouseError,
  MigrationError,
  PlacementError,
  ResolveError,
  RowhouseError,
  type RowhouseErrorCode,
  type ServerMisfit,
  StatementError,
  TenantContextError,
  TenantError,
  UnavailableError,
  type ViolatedConstraint,
} from './errors.ts'
// Across tenants
export type { AcrossTenants, CrossTenantOptions, TenantOutcome } from './isolation/cross-tenant.ts'
// A tenant's database
export type { ReadOptions } from './isolation/read-stream.ts'
export type { ScopedDb } from './isolation/scoped-db.ts'
export type { StatementOptions, Statements } from './isolation/statements.ts'
export type { IsolationLevel, Transaction, TransactionOptions } from './isolation/transaction.ts'
export type { AlarmKind, IsolationAlarm, TripwireMode } from './isolation/tripwire.ts'
export type { TenantUsage, UsageMeter } from './isolation/usage.ts'
// Whose request it is
export { type ApiKeyOptions, createApiKey, fromApiKey, type NewApiKey } from './resolve/api-key.ts'
export { fromFunction } from './resolve/from-function.ts'
export {
  type CustomDomainOptions,
  fromCustomDomain,
  fromSubdomain,
  type SubdomainOptions,
} from './resolve/from-host.ts'
export { fromJwt, type JwtOptions } from './resolve/from-jwt.ts'
export { fromTrustedHeader, type TrustedHeaderOptions } from './resolve/from-trusted-header.ts'
export type { TenantGate } from './resolve/gate.ts'
export type { CheckedRequest, RequestFacts } from './resolve/request-facts.ts'
export type { TenantSource } from './resolve/tenant-source.ts'
// The one entry
export { createRowhouse, type PlanShare, type Rowhouse, type RowhouseOptions, type TenantScope } from './rowhouse.ts'
export type { DirectoryEntry, KeyGrant, TenantDirectory, TenantKey } from './tenant/directory.ts'
export { Secret } from './tenant/secret.ts'
export { findSlugFault, RESERVED_SLUGS, requireSlug } from './tenant/slug.ts'
export type { Tenant, TenantState } from './tenant/tenant.ts'
export { isTenantId, requireTenantId, requireUnitId, type TenantId, type UnitId } from './tenant/tenant-id.ts'
