import type { Model } from '../placing/placement-rules.ts'
import type { Facts } from './facts.ts'
import { type MeasuredCosts, type ModelCosts, memoryPerRelation } from './measured-costs.ts'

/** Share of the memory that caches of the catalog may take in all backends together; the rest is for data and sorting. */
const CATALOG_SHARE = 0.25

/** `shared_buffers` as usually set, and how much of it catalogs may push rows out of. */
const BUFFER_SHARE = 0.25
const CATALOG_SHARE_OF_BUFFERS = 0.5

/**
 * Autovacuum starts a worker every 100 ms at most, and wants to see each database once in `autovacuum_naptime`, which
 * is 60 s: beyond 600 databases on one server it is late in all of them.
 */
const AUTOVACUUM_DATABASES = 600

/** Above, a base backup or a restore of the server takes most of a working day at 50 MB/s. */
const POOL_BYTES = 1024 ** 4

/** Operators, replication and monitoring come in beside the application. */
const RESERVED_CONNECTIONS = 10

/** How much one server holds, and from which figures that follows. */
export interface Capacity {
  /** Connections of the application that one server serves. */
  readonly connections: number
  /** Tables and indexes a tenant has. */
  readonly relationsPerTenant: number
  /** Tables and indexes beyond which the caches of all connections outgrow their share of the memory. */
  readonly relations: number
  readonly schemas: number
  readonly databases: number
  readonly poolBytes: number
  /** How `relations`, and so `schemas`, was computed. */
  readonly relationsWhy: string
  readonly databasesWhy: string
}

/**
 * Computes what one server holds. The limit of schemas is the memory of connections: each keeps what it knows of every
 * table it ever opened, and a pooled connection meets every tenant sooner or later.
 */
export function capacityOf(facts: Facts, costs: MeasuredCosts): Capacity {
  const { peakConnections, maxConnections, serverMemoryBytes, tenantTables, tenantIndexes } = facts
  const connections = Math.max(1, Math.min(peakConnections, maxConnections - RESERVED_CONNECTIONS))
  const relationsPerTenant = tenantTables + tenantIndexes
  const perRelation = memoryPerRelation(costs)
  const relations = Math.floor((serverMemoryBytes * CATALOG_SHARE) / (connections * perRelation))
  const bufferBytes = costsFor(facts, costs).database.bufferBytes
  const byBuffers = Math.floor((serverMemoryBytes * BUFFER_SHARE * CATALOG_SHARE_OF_BUFFERS) / bufferBytes)
  const databases = Math.max(1, Math.min(AUTOVACUUM_DATABASES, byBuffers))
  return {
    connections,
    relationsPerTenant,
    relations,
    schemas: Math.max(1, Math.floor(relations / relationsPerTenant)),
    databases,
    poolBytes: POOL_BYTES,
    relationsWhy: `${connections} connections × ${perRelation} bytes for each table or index they opened (measured) fill ${CATALOG_SHARE * 100} % of ${gigabytes(serverMemoryBytes)}`,
    databasesWhy:
      byBuffers < AUTOVACUUM_DATABASES
        ? `${kilobytes(bufferBytes)} of shared buffers per database in use (measured) fill half of a quarter of ${gigabytes(serverMemoryBytes)}`
        : 'autovacuum starts a worker every 100 ms at most, and would come to each database less than once a minute',
  }
}

/**
 * Fits the measured costs to the tables of this application: in proportion to tables and indexes, on top of what an
 * empty database costs whatever is in it.
 */
export function costsFor(
  facts: Pick<Facts, 'tenantTables' | 'tenantIndexes'>,
  costs: MeasuredCosts,
): Readonly<Record<Model, ModelCosts>> {
  const { tables, indexesPerTable } = costs.shape
  const scale = (facts.tenantTables + facts.tenantIndexes) / (tables * (1 + indexesPerTable))
  const { pooled, schema, database } = costs.models
  const scaled = (of: (each: ModelCosts) => number) => ({
    pooled: of(pooled),
    schema: of(schema) * scale,
    database: Math.max(0, of(database) - of(schema)) + of(schema) * scale,
  })
  const figures = {
    diskBytes: scaled(({ diskBytes }) => diskBytes),
    files: scaled(({ files }) => files),
    catalogRows: scaled(({ catalogRows }) => catalogRows),
    relations: scaled(({ relations }) => relations),
    bufferBytes: scaled(({ bufferBytes }) => bufferBytes),
  }
  const of = (model: Model): ModelCosts => ({
    diskBytes: Math.round(figures.diskBytes[model]),
    files: Math.round(figures.files[model]),
    catalogRows: Math.round(figures.catalogRows[model]),
    relations: Math.round(figures.relations[model]),
    bufferBytes: Math.round(figures.bufferBytes[model]),
    // One column on one table: the number of tables does not enter.
    migrateMs: costs.models[model].migrateMs,
  })
  return { pooled: of('pooled'), schema: of('schema'), database: of('database') }
}

export function gigabytes(bytes: number): string {
  return `${Number((bytes / 1024 ** 3).toPrecision(3))} GB`
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1024)} kB`
}
