import type { Model } from '../placing/placement-rules.ts'
import measured from './measured-costs.json' with { type: 'json' }

/** What a tenant without rows costs, per model, on one machine and one version of PostgreSQL. */
export interface MeasuredCosts {
  readonly generated: string
  /** Day of the measurement. */
  readonly date: string
  readonly machine: {
    readonly cores: number
    readonly cpu: string
    readonly memoryBytes: number
    readonly node: string
  }
  /** Version, e.g. `18.4`. */
  readonly postgres: string
  /** What was measured: everything below is for a tenant of this shape. */
  readonly shape: {
    readonly tenants: number
    readonly tables: number
    readonly indexesPerTable: number
    readonly policiesPerTable: number
    readonly rows: number
  }
  readonly models: Readonly<Record<Model, ModelCosts>>
  readonly backend: {
    /** Private memory of a connection that asked nothing but `select 1`. */
    readonly idlePrivateBytes: number
    readonly privateBytesAfterOneTenant: number
    readonly privateBytesAfterAllSchemas: number
    /** What a connection keeps in its caches for each table or index it ever opened; the allocator takes more. */
    readonly cacheBytesPerRelation: number
    readonly growth: readonly { readonly relations: number; readonly cacheBytes: number }[]
  }
}

/** Per tenant. */
export interface ModelCosts {
  readonly diskBytes: number
  readonly files: number
  readonly catalogRows: number
  readonly relations: number
  /** Share of a tenant in adding one column, one tenant at a time, connecting included where it is needed. */
  readonly migrateMs: number
  /** Shared buffers its catalogs and empty indexes occupy after its tables were used once. */
  readonly bufferBytes: number
}

/** The figures `advise` cites. They come from `test/advise/write-measured-costs.ts` and are replaced by running it. */
export const MEASURED_COSTS: MeasuredCosts = measured

/**
 * Memory of its own a connection needs for each table or index it ever opened, until it is closed. As the operating system
 * counts it: caches and what the allocator cannot use again between them.
 */
export function memoryPerRelation({ backend }: MeasuredCosts): number {
  const relations = backend.growth.at(-1)?.relations ?? 1
  return Math.round((backend.privateBytesAfterAllSchemas - backend.idlePrivateBytes) / relations)
}
