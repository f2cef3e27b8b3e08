import type { HomeAddress } from '../registry/operator-connections.ts'

/** How far a run is; on every event about a home. */
export interface FleetCounts {
  readonly done: number
  readonly failed: number
  readonly total: number
  /** Homes per second since the run began. */
  readonly perSecond: number
  /** Estimate for what is left, in milliseconds. */
  readonly remainingMs: number
}

/** What happens in a run of the fleet, as it happens. Plain data, ready for JSON lines. */
export type FleetEvent =
  | {
      readonly type: 'run-started'
      readonly run: number
      readonly operator: string
      /** Id of the newest migration. */
      readonly target: string | undefined
      readonly total: number
      readonly waves: readonly { readonly name: string; readonly homes: number }[]
    }
  | { readonly type: 'wave-started'; readonly wave: string; readonly homes: number }
  | ({
      readonly type: 'home-done'
      readonly wave: string
      readonly home: HomeAddress
      readonly tenant: string | undefined
      readonly applied: readonly string[]
      readonly retries: number
      readonly ms: number
    } & FleetCounts)
  | ({ readonly type: 'home-failed'; readonly wave: string } & HomeFailure & FleetCounts)
  | ({ readonly type: 'home-left'; readonly wave: string } & HomeLeft & FleetCounts)
  | { readonly type: 'wave-done'; readonly wave: string; readonly done: number; readonly failed: number }
  | { readonly type: 'stopped'; readonly wave: string; readonly reason: string }
  | { readonly type: 'done'; readonly report: FleetReport }

export interface HomeFailure {
  readonly home: HomeAddress
  readonly tenant: string | undefined
  readonly code: string | undefined
  readonly message: string
}

/** A home that was not migrated, and nothing went wrong with it. */
export interface HomeLeft {
  readonly home: HomeAddress
  readonly tenant: string | undefined
  /** Server is down, home is frozen, run was stopped before. */
  readonly reason: string
}

/** How a run ended. */
export interface FleetReport {
  /** Number of the run; undefined where nothing was to be done. */
  readonly run: number | undefined
  /** `failed`: it went through all waves and some homes failed. `stopped`: too many failed, or it was told to. */
  readonly outcome: 'done' | 'failed' | 'stopped'
  readonly reason: string | undefined
  readonly target: string | undefined
  readonly done: number
  readonly failures: readonly HomeFailure[]
  /** Homes that still have to be migrated, besides those that failed. */
  readonly left: readonly HomeLeft[]
  readonly ms: number
}
