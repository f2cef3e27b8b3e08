/**
 * Prints `N passed, N failed, N skipped` as the last line of a test run.
 *
 * Why: continuous integration and people read one line, and "nothing ran" must not look like success. A file that
 * could not be loaded and an error outside of any test count as failed, so that the line never says 0 failed
 * when the exit code says otherwise.
 */

import { writeSync } from 'node:fs'
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts = countTests(modules, unhandledErrors.length)
    // Other reporters, teardowns and servers that stop still print: the exit event comes after all of them.
    process.once('exit', (code) => {
      const failed = code !== 0 || !hasRun(counts)
      // A setup that failed before any test is no test, and still the line may not say "0 failed".
      writeSync(1, `${closingLine(failed ? { ...counts, failed: Math.max(counts.failed, 1) } : counts)}\n`)
      if (failed && code === 0) process.exitCode = 1
    })
  }
}

export function closingLine(counts: TestCounts): string {
  return `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`
}

/** Tells whether at least one test was executed; a run of skipped tests proves nothing. */
export function hasRun(counts: TestCounts): boolean {
  return counts.passed + counts.failed > 0
}

/** The part of vitest's `TestModule` that is counted. */
interface CountedModule {
  ok(): boolean
  readonly children: { allTests(): Iterable<{ result(): { readonly state: string } }> }
}

/** Counts tests by their result; whatever failed outside of a test counts as one failed test. */
export function countTests(modules: readonly CountedModule[], unhandledErrors: number): TestCounts {
  const counts = { passed: 0, failed: unhandledErrors, skipped: 0 }
  for (const module of modules) {
    let failedTests = 0
    for (const test of module.children.allTests()) {
      const state = test.result().state
      if (state === 'passed') counts.passed += 1
      else if (state === 'failed') failedTests += 1
      else counts.skipped += 1
    }
    // A module that failed without a failed test could not be loaded, or one of its hooks failed.
    counts.failed += failedTests > 0 ? failedTests : Number(!module.ok())
  }
  return counts
}
