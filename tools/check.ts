/**
 * The one gate: everything about this repository that a program can judge, in one command (`npm run check`).
 *
 * Why: what is not checked here is a wish. Every check runs even when one before it failed, each says one
 * sentence, and the exit code is 1 when any of them found something.
 */

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkDocs } from './check-docs.ts'
import { checkExports } from './check-exports.ts'
import { checkLayers } from './check-layers.ts'
import type { CheckResult } from './check-result.ts'
import { deadCodeFinder, linter, runTool, typeChecker } from './run-tool.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const checks: readonly (readonly [name: string, run: () => CheckResult])[] = [
  ['types', () => runTool(root, typeChecker)],
  ['lint', () => runTool(root, linter)],
  ['layers', () => checkLayers(root)],
  ['exports', () => checkExports(root)],
  ['docs', () => checkDocs(root)],
  ['dead code', () => runTool(root, deadCodeFinder)],
]

/** Enough to see what is wrong; the rest is counted. */
const SHOWN_PROBLEMS = 50

let failed = 0
for (const [name, run] of checks) {
  const started = performance.now()
  const { summary, problems } = attempt(run)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (problems.length === 0) {
    console.log(`✓ ${name}: ${summary} (${seconds} s)`)
    continue
  }
  failed += 1
  console.log(`✗ ${name}: ${problems.length === 1 ? 'one problem' : `${problems.length} problems`} (${seconds} s)`)
  for (const problem of problems.slice(0, SHOWN_PROBLEMS)) console.log(problem.replace(/^/gm, '    '))
  if (problems.length > SHOWN_PROBLEMS) console.log(`    … and ${problems.length - SHOWN_PROBLEMS} more`)
}
console.log(failed === 0 ? `All ${checks.length} checks passed` : `${failed} of ${checks.length} checks failed`)
process.exitCode = failed === 0 ? 0 : 1

/** A check that breaks has found something, too: the others still run. */
function attempt(run: () => CheckResult): CheckResult {
  try {
    return run()
  } catch (error) {
    return { summary: '', problems: [`The check itself failed: ${error instanceof Error ? error.stack : error}`] }
  }
}
