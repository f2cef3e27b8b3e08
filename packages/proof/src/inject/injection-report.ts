import type { Way } from './library-run.ts'
import type { Family, Payload } from './payload.ts'

/**
 * What became of a payload:
 *
 * - `refused`: an error before any effect.
 * - `harmless`: it ran and saw tenant A only.
 * - `undone`: it ran and changed the session, and the change was gone before the next statement.
 * - `leaked`: rows of tenant B came back or changed, or the next tenant found something.
 */
export type Verdict = 'refused' | 'harmless' | 'undone' | 'leaked'

export interface InjectionLeak {
  readonly payload: Payload
  readonly way: Way
  /** What was found, in words. */
  readonly found: readonly string[]
}

export interface InjectionCount {
  readonly family: Family
  readonly spot: string
  readonly payloads: number
  /** Those that were SQL; the others prove nothing. */
  readonly parsed: number
  readonly refused: number
  readonly harmless: number
  readonly undone: number
  readonly leaked: number
}

export interface InjectionReport {
  readonly seed: number
  /** Different texts sent. */
  readonly payloads: number
  /** Texts times ways. */
  readonly runs: number
  readonly parsed: number
  readonly verdicts: Readonly<Record<Verdict, number>>
  /** By family and spot, in the order of the grammar. */
  readonly counts: readonly InjectionCount[]
  readonly leaks: readonly InjectionLeak[]
  readonly controls: {
    readonly fired: number
    readonly total: number
    /** Families whose payloads did nothing where nothing stops them: their share of the proof is void. */
    readonly void: readonly Family[]
    /** How many payloads of each family did what they claim, until the first of each action. */
    readonly byFamily: Readonly<Partial<Record<Family, number>>>
  }
  /** Whether a stolen, valid seal of tenant B was seen as a leak: otherwise the proof is blind. */
  readonly seesLeaks: boolean
  readonly elapsedMs: number
}
