import type { Case } from './statement.ts'
import { cuts } from './tree.ts'

/** Statements tried while shrinking one failure; most shrink in fewer than a hundred. */
const MAX_ATTEMPTS = 600

/**
 * Cuts a failing case smaller while it still fails.
 *
 * Greedy: takes the first cut that still fails and starts again, until none is left or `maxAttempts` were tried. Cuts that
 * are not valid SQL fail alike on both sides, and so count as not failing.
 *
 * @param stillFails  runs a case on both sides and tells whether they differ
 */
export async function shrink(
  failing: Case,
  stillFails: (smaller: Case) => Promise<boolean>,
  maxAttempts = MAX_ATTEMPTS,
): Promise<Case> {
  let smallest = failing
  let attempts = 0
  for (;;) {
    const found = await firstFailing(smallest)
    if (found === undefined) return smallest
    smallest = found
  }

  async function firstFailing(current: Case): Promise<Case | undefined> {
    for (const smaller of smallerCases(current)) {
      if (attempts >= maxAttempts) return undefined
      attempts += 1
      if (await stillFails(smaller)) return smaller
    }
    return undefined
  }
}

/** Yields the case without one of its statements, then with one of them cut; also as a tenant without limits. */
function* smallerCases(testCase: Case): Generator<Case> {
  const { steps } = testCase
  if (steps.length > 1) for (const index of steps.keys()) yield { ...testCase, steps: steps.toSpliced(index, 1) }
  for (const [index, step] of steps.entries())
    for (const cut of cuts(step)) yield { ...testCase, steps: steps.with(index, cut) }
  if (testCase.units) yield { ...testCase, units: false }
}
