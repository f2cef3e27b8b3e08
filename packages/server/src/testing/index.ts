/**
 * `rowhouse-server/testing`: rehearse moves and restores of your own schema, under any test runner. For tests; never
 * imported by code that serves requests.
 */

export { type FoundRow, type History, newHistory, type Verdict } from './history.ts'
export type { RehearsalOptions } from './rehearsal-options.ts'
export type {
  RehearsalEvent,
  RehearsalReport,
  RehearsedEnd,
  RehearsedMove,
  RehearsedPlace,
  RehearsedRestore,
} from './rehearsal-report.ts'
export { rehearseMoves } from './rehearse-moves.ts'
export type { GapReason, TableGap } from './table-gaps.ts'
