import type { Rowhouse } from 'rowhouse'
import type { ReportProgress } from '../progress.ts'
import type { TenantProfile } from './profiles.ts'
import { seedTenant } from './seed-tenant.ts'
import { tenantShares } from './tenant-shares.ts'

export interface SeedOptions {
  readonly profiles: readonly TenantProfile[]
  /** Shipments of all tenants together. @defaultValue 500 000 */
  readonly shipments?: number
  /** Same text, same data. @defaultValue 'freight' */
  readonly seed?: string
  /** Moment up to which things have happened. @defaultValue now */
  readonly asOf?: Date
  readonly onProgress?: ReportProgress
  /**
   * Refreshes the planner's statistics; needs an operator's login, which the seed does not have. Called while the
   * tables grow: PostgreSQL plans the checks of foreign keys while they are empty, and a plan that walks a branch's
   * shipments instead of finding one is kept until statistics change (100,000 shipments: 12 to 15 s without, 6.5 s with).
   */
  readonly analyze?: () => Promise<unknown>
  readonly signal?: AbortSignal | undefined
}

export interface SeedReport {
  /** Shipments and rows of all tables this run wrote; 0 when everything was there. */
  readonly shipments: number
  readonly rows: number
  readonly seconds: number
  readonly ratePerSecond: number
}

export const DEFAULT_SHIPMENTS = 500_000

/** Tenants written at the same time: one more than a small machine has cores, so that generating and writing overlap. */
const WRITERS = 3

/** Statistics are refreshed after so many shipments, then each time there are eight times as many. */
const FIRST_ANALYZE = 2_000
const ANALYZE_FACTOR = 8

/**
 * Fills tenants that exist with invented trade of the last twelve months. Run again, it goes on where it stopped.
 *
 * @throws {RangeError} when the shipments cannot give each tenant some
 */
export async function seedFreight(rowhouse: Rowhouse, options: SeedOptions): Promise<SeedReport> {
  const { profiles, shipments = DEFAULT_SHIPMENTS, seed = 'freight', asOf = new Date(), onProgress, signal } = options
  const shares = tenantShares(shipments, profiles.length)
  const startedMs = performance.now()
  const seconds = () => (performance.now() - startedMs) / 1000
  let written = 0
  let rows = 0
  let found = 0
  const report = () => {
    const ratePerSecond = Math.round(written / Math.max(seconds(), 0.001))
    onProgress?.({ step: 'seed', done: found + written, total: shipments, ratePerSecond })
  }
  let analyzeAt = FIRST_ANALYZE
  const refreshStatistics = async () => {
    if (written < analyzeAt) return
    analyzeAt *= ANALYZE_FACTOR
    await options.analyze?.()
  }
  const queue = profiles.entries()
  const writer = async () => {
    for (const [rank, profile] of queue) {
      await seedTenant(rowhouse, {
        profile,
        shipments: shares[rank] ?? 0,
        seed,
        asOf,
        signal,
        onFound: (there) => {
          found += there
        },
        onChunk: async (chunk) => {
          written += chunk.shipments
          rows += chunk.rows
          report()
          await refreshStatistics()
        },
      })
    }
  }
  // All writers have ended when this does: one that went on in the background would write into the next attempt.
  const ends = await Promise.allSettled(Array.from({ length: WRITERS }, writer))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  report()
  return {
    shipments: written,
    rows,
    seconds: seconds(),
    ratePerSecond: Math.round(written / Math.max(seconds(), 0.001)),
  }
}
