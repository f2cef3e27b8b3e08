/**
 * `npm run fuzz -- --statements 1000000 --seed 7 [--from N] [--weakness NAME] [--no-controls]`
 *
 * Reads ROWHOUSE_ADMIN_URL and DATABASE_URL. Exit code 0 when nothing differed and every control fired, 1 otherwise,
 * 130 when it was interrupted; the scratch databases are gone in each case.
 */
import { parseArgs } from 'node:util'
import type { FuzzFailure } from './campaign.ts'
import { type FuzzProgress, type FuzzReport, fuzz } from './fuzz.ts'

const PROGRESS_EVERY = 10_000

const { values } = parseArgs({
  options: {
    statements: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    weakness: { type: 'string' },
    'no-controls': { type: 'boolean', default: false },
  },
})

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())

try {
  const report = await fuzz({
    adminUrl: requireUrl('ROWHOUSE_ADMIN_URL'),
    appUrl: requireUrl('DATABASE_URL'),
    seed: Number(values.seed),
    statements: Number(values.statements),
    from: Number(values.from),
    controls: !values['no-controls'],
    signal: interrupted.signal,
    onProgress: printProgress,
    ...(values.weakness === undefined ? {} : { weakness: values.weakness }),
  })
  printReport(report)
  process.exitCode = report.void || report.failures.length > 0 ? 1 : 0
} catch (error) {
  if (interrupted.signal.aborted) console.error('Interrupted; the scratch databases were dropped')
  else console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = interrupted.signal.aborted ? 130 : 1
}

function requireUrl(name: 'ROWHOUSE_ADMIN_URL' | 'DATABASE_URL'): string {
  const url = process.env[name]
  if (url !== undefined && URL.canParse(url)) return url
  throw new TypeError(`Cannot fuzz without a database: set ${name} to a URL`)
}

function printProgress({ statements, of, failures, perSecond }: FuzzProgress): void {
  if (statements % PROGRESS_EVERY !== 0 && statements !== of) return
  const leftS = perSecond === 0 ? 0 : Math.round((of - statements) / perSecond)
  console.log(`${statements} of ${of} statements, ${failures} failures, ${perSecond}/s, ${leftS} s left`)
}

function printReport(report: FuzzReport): void {
  for (const failure of report.failures) printFailure(failure, report.seed)
  for (const { name, fired, statements, failure } of report.controls) {
    const shown = failure === undefined ? '' : `: ${failure.shrunk.replaceAll('\n', ' ')}`
    console.log(`control ${name} ${fired ? `fired within ${statements}` : `DID NOT FIRE in ${statements}`}${shown}`)
  }
  const kinds = Object.entries(report.byKind).map(([kind, count]) => `${kind} ${count}`)
  console.log(`kinds: ${kinds.join(', ')}; ${report.committed} committed; ${report.inconclusive} inconclusive`)
  const verdict = report.void ? 'VOID: a control did not fire' : `${report.failures.length} failures`
  console.log(`seed ${report.seed}: ${report.statements} statements at ${report.perSecond}/s, ${verdict}`)
}

function printFailure({ number, kind, reason, units, sql, shrunk, all, alone }: FuzzFailure, seed: number): void {
  console.log(`\nstatement ${number} of seed ${seed} (${kind}${units ? ', limited to units' : ''}): ${reason}
${sql}
-- smallest that still fails:
${shrunk}
-- among other tenants:
${shorten(all)}
-- alone:
${shorten(alone)}\n`)
}

function shorten(outcome: string): string {
  const lines = outcome.split('\n')
  return lines.length <= 20 ? outcome : [...lines.slice(0, 20), `… ${lines.length - 20} more lines`].join('\n')
}
