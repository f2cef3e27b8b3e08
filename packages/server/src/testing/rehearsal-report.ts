import type { TableDiff } from '../backup/diff-backup.ts'
import type { Model } from '../placing/placement-rules.ts'
import type { TableGap } from './table-gaps.ts'

/** Where a tenant is moved to. */
export interface RehearsedPlace {
  readonly model: Model
  /** Name in the registry of servers. */
  readonly server: string
}

/** How a move of the rehearsal ended; `refused` is one that nobody meant to fail. */
export type RehearsedEnd = 'completed' | 'reverted' | 'aborted' | 'refused'

/** One move, with the tenant writing while it went. */
export interface RehearsedMove {
  readonly from: RehearsedPlace
  readonly to: RehearsedPlace
  readonly ended: RehearsedEnd
  /** How long the tenant was shut out at each cut, in milliseconds: one, two for a move that was reverted, none otherwise. */
  readonly pausesMs: readonly number[]
  /** Writes acknowledged while it went. */
  readonly acknowledged: number
  /** From asking for it to its end, in milliseconds. */
  readonly ms: number
  /** Tables in which a row of the tenant changed while nobody wrote: at the abort, the revert, or the removal of the old home. */
  readonly changedTables: readonly string[]
  /** Tables in which a row of the neighbour changed. */
  readonly neighbourChangedTables: readonly string[]
  /** Code and message of the error, where it was aborted or refused. */
  readonly code?: string
  readonly message?: string
}

/** Rows that were deleted on purpose, past the walls, and brought back from a backup. */
export interface RehearsedRestore {
  /** Rows deleted, in all tables. */
  readonly deleted: number
  /** What a comparison with the backup said before anything was written. */
  readonly diff: readonly TableDiff[]
  readonly inserted: number
  /** Tables that are not as they were before. */
  readonly changedTables: readonly string[]
  readonly neighbourChangedTables: readonly string[]
  readonly code?: string
  readonly message?: string
}

/** What a rehearsal found. Plain data. */
export interface RehearsalReport {
  /** True when `faults` is empty. */
  readonly ok: boolean
  /** Everything that is wrong, for people. */
  readonly faults: readonly string[]
  readonly moves: readonly RehearsedMove[]
  readonly writes: number
  readonly acknowledged: number
  /** Acknowledged and not there, at any time after a move. */
  readonly lost: number
  readonly doubled: number
  /** There, and written by the neighbour, or by nobody. */
  readonly foreign: number
  /** The first 20 identities of each kind. */
  readonly examples: Readonly<Record<'lost' | 'doubled' | 'foreign', readonly string[]>>
  /** Writes that failed, by code. */
  readonly refused: Readonly<Record<string, number>>
  /** Over all cuts; nearest rank. All zero without a cut. */
  readonly pauseMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** What does not move with a tenant; those with `isFault` are in `faults` too. */
  readonly gaps: readonly TableGap[]
  readonly restore: RehearsedRestore | undefined
  /** Digest of all rows of the neighbour, before the first move and after everything. */
  readonly neighbour: { readonly before: string; readonly after: string }
  /** What the checker found where it had to find something: rows deleted on purpose, and the neighbour's rows taken for the tenant's. */
  readonly control: { readonly lost: number; readonly foreign: number }
  /** What could not be cleaned up; empty when nothing was left behind. */
  readonly left: readonly string[]
  readonly ms: number
}

/** A part of a rehearsal that is over. */
export type RehearsalEvent =
  | { readonly kind: 'filled'; readonly rows: number; readonly neighbour: string }
  | { readonly kind: 'moved'; readonly move: RehearsedMove }
  | { readonly kind: 'compared'; readonly deleted: number; readonly diff: readonly TableDiff[] }
  | { readonly kind: 'restored'; readonly restore: RehearsedRestore }

/** Nearest rank; 0 of no values. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0
}
