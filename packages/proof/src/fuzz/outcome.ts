import { TENANTS } from './fixture.ts'
import { FOREIGN_WRITE } from './sentinel.ts'
import { type Case, textsOf } from './statement.ts'

/** What one statement of a case did, as text. */
export interface StepOutcome {
  /** Command, count and rows, rows in an order of their own; undefined where it failed. */
  readonly result?: string
  readonly error?: { readonly state: string; readonly text: string }
  readonly notices: readonly string[]
  /** Index in TENANTS of whose statement it was. */
  readonly tenant: number
}

export type Outcome = readonly StepOutcome[]

/** Why two outcomes are not what they should be. */
export interface Difference {
  readonly reason:
    | 'result'
    | 'error'
    | 'notice'
    | 'canary'
    | 'foreign-write'
    | 'foreign-rows-changed'
    | 'own-rows-differ'
  readonly all: string
  readonly alone: string
}

/**
 * Compares what a case did among other tenants' rows with what it did without them.
 *
 * There is no allowed difference, and the SQLSTATE has to be the same one: a write that names another tenant gets 42501
 * on both sides whatever that tenant owns, a read that names one gets no rows. Statements of the other tenants, which
 * only rotate plans, are not compared but searched for canaries of whoever they do not belong to.
 */
export function compare(testCase: Case, all: Outcome, alone: Outcome): Difference | undefined {
  const found = findForeignWrite(all, alone) ?? findCanary(testCase, all, alone)
  if (found !== undefined) return found
  for (const [index, here] of all.entries()) {
    const there = alone[index]
    if (here.tenant !== 0) continue
    const sides = { all: describe(here), alone: describe(there) }
    if (here.error !== undefined || there?.error !== undefined) {
      if (here.error?.state !== there?.error?.state) return { reason: 'error', ...sides }
    } else if (here.result !== there?.result) return { reason: 'result', ...sides }
    if (here.notices.join('\n') !== there?.notices.join('\n')) return { reason: 'notice', ...sides }
  }
  return undefined
}

/** Failures that say nothing about the statement: the connection was lost, or a lock or timeout ended it. */
const PASSING = /^(?:08|57|55P03|40|ERR_)/

export function isPassing(outcome: Outcome): boolean {
  return outcome.some(({ error }) => error !== undefined && PASSING.test(error.state))
}

function describeOutcome(outcome: Outcome): string {
  return outcome.map(describe).join('\n')
}

function describe(step: StepOutcome | undefined): string {
  if (step === undefined) return 'nothing'
  const said = step.notices.map((notice) => `\nnotice: ${notice}`).join('')
  return (step.error === undefined ? (step.result ?? '') : `error ${step.error.state}: ${step.error.text}`) + said
}

function findForeignWrite(all: Outcome, alone: Outcome): Difference | undefined {
  const wrote = (outcome: Outcome) => outcome.some(({ error }) => error?.state === FOREIGN_WRITE)
  if (!wrote(all) && !wrote(alone)) return undefined
  return { reason: 'foreign-write', all: describeOutcome(all), alone: describeOutcome(alone) }
}

/** Searches all that came back for what only another tenant's rows hold, unless the statement brought it along. */
function findCanary(testCase: Case, all: Outcome, alone: Outcome): Difference | undefined {
  const text = textsOf(testCase).join('\n')
  for (const step of all) {
    const answer = describe(step).toLowerCase()
    const strange = TENANTS.some(
      ({ mark }, index) => index !== step.tenant && answer.includes(mark) && !text.includes(mark),
    )
    if (strange) return { reason: 'canary', all: describe(step), alone: describeOutcome(alone) }
  }
  return undefined
}
