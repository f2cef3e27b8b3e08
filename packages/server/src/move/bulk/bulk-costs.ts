import { costsFor } from '../../advise/capacity.ts'
import { MEASURED_COSTS, memoryPerRelation } from '../../advise/measured-costs.ts'
import type { Model } from '../../placing/placement-rules.ts'
import type { TenantWeight } from './weigh-tenant.ts'

/** What tenants cost the servers they live on. */
export interface TenantCosts {
  /** Rows, indexes and what a database or schema takes without a row. */
  readonly diskBytes: number
  /** Connections nobody else can use: those to databases of their own. */
  readonly connections: number
  /** Memory of those connections. */
  readonly backendBytes: number
  /** What connections of shared databases keep in their caches of the tenants' tables. */
  readonly cacheBytes: number
  /** Shared buffers that catalogs and empty indexes occupy once the tables are used. */
  readonly bufferBytes: number
  /** Entries of `pg_class`. */
  readonly relations: number
  /** Rows of all catalogs. */
  readonly catalogRows: number
}

export const NO_COSTS: TenantCosts = {
  diskBytes: 0,
  connections: 0,
  backendBytes: 0,
  cacheBytes: 0,
  bufferBytes: 0,
  relations: 0,
  catalogRows: 0,
}

/** A tenant that works holds one connection to a database of its own at least. */
const OWN_CONNECTIONS = 1

/**
 * Estimates what a tenant would cost in a model: what a tenant without rows was measured to cost, fitted to its tables, and
 * the rows it has.
 *
 * @param shared  connections to the shared database: each comes to know the tables of each schema
 */
export function estimateCosts(model: Model, weight: TenantWeight, shared: number): TenantCosts {
  const { tables, indexes, packedBytes, pagedBytes } = weight
  const fixed = costsFor({ tenantTables: tables, tenantIndexes: indexes }, MEASURED_COSTS)[model]
  const connections = model === 'database' ? OWN_CONNECTIONS : 0
  return {
    diskBytes: fixed.diskBytes + (model === 'pooled' ? packedBytes : pagedBytes),
    connections,
    backendBytes: backendBytes(connections),
    cacheBytes: model === 'schema' ? (tables + indexes) * memoryPerRelation(MEASURED_COSTS) * shared : 0,
    bufferBytes: fixed.bufferBytes,
    relations: fixed.relations,
    catalogRows: fixed.catalogRows,
  }
}

/** What a tenant costs where it lives: what its server says, and the estimate for what no server says of one tenant. */
export function presentCosts(model: Model, weight: TenantWeight, shared: number): TenantCosts {
  const estimate = estimateCosts(model, weight, shared)
  const { diskBytes = estimate.diskBytes, relations = estimate.relations, connections = estimate.connections } = weight
  return { ...estimate, diskBytes, relations, connections, backendBytes: backendBytes(connections) }
}

export function addCosts(one: TenantCosts, other: TenantCosts): TenantCosts {
  return {
    diskBytes: one.diskBytes + other.diskBytes,
    connections: one.connections + other.connections,
    backendBytes: one.backendBytes + other.backendBytes,
    cacheBytes: one.cacheBytes + other.cacheBytes,
    bufferBytes: one.bufferBytes + other.bufferBytes,
    relations: one.relations + other.relations,
    catalogRows: one.catalogRows + other.catalogRows,
  }
}

/** Which figures of `presentCosts` the server said; all others are estimates. */
export function measuredFigures(model: Model): readonly (keyof TenantCosts)[] {
  if (model === 'database') return ['diskBytes', 'connections', 'relations']
  return model === 'schema' ? ['diskBytes', 'relations'] : []
}

function backendBytes(connections: number): number {
  return connections * MEASURED_COSTS.backend.privateBytesAfterOneTenant
}
