/**
 * `npm run bench -- [--json] [--only scoped|filter|directory|context|counters|tripwire|proof|provision|crowd|fleet|move|backup] [--switches N]`
 *
 * Every figure is a ratio between operations that ran in turns in this one process, on a server it started itself.
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { benchBackup } from './backup.ts'
import { benchContextSwitches } from './context-switches.ts'
import { benchCounters } from './counters.ts'
import { benchCrowd } from './crowd.ts'
import { type BenchDatabase, fillTables, openBenchDatabase } from './database.ts'
import { benchDirectory } from './directory.ts'
import { benchFleet } from './fleet.ts'
import { benchMove } from './move.ts'
import { benchProof } from './proof.ts'
import { benchProvision } from './provision.ts'
import { printReport, type Report } from './report.ts'
import { benchScoped, type ScopedScenario } from './scoped.ts'
import { benchTenantFilter } from './tenant-filter.ts'
import { benchTripwire } from './tripwire.ts'

const PARTS = [
  'scoped',
  'filter',
  'directory',
  'context',
  'counters',
  'tripwire',
  'proof',
  'provision',
  'crowd',
  'fleet',
  'backup',
  'move',
] as const

/** Parts that make tables of their own. */
const WITHOUT_ROWS: ReadonlySet<string> = new Set(['proof', 'provision', 'crowd', 'fleet', 'move', 'backup'])

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, only: { type: 'string' }, switches: { type: 'string', default: '100000' } },
})
if (values.only !== undefined && !PARTS.includes(values.only as never)) {
  process.stderr.write(`Cannot run "${values.only}": wanted one of ${PARTS.join(', ')}\n`)
  process.exit(2)
}
const wanted = (part: (typeof PARTS)[number]) => values.only === undefined || values.only === part

const database = await openBenchDatabase()
try {
  if (!WITHOUT_ROWS.has(values.only ?? '')) await fillTables(database)
  const report: Report = { ...machine(database), ...(await runParts(database)) }
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : printReport(report))
} finally {
  await database.stop()
}

async function runParts(db: BenchDatabase) {
  const scoped = wanted('scoped') ? await benchScoped(db) : undefined
  return {
    ...(scoped && { scoped, ratios: headlineRatios(scoped) }),
    ...(wanted('filter') && { filter: await benchTenantFilter(db) }),
    ...(wanted('directory') && { directory: await benchDirectory(db) }),
    ...(wanted('counters') && { counters: await benchCounters(db) }),
    ...(wanted('tripwire') && { tripwire: await benchTripwire(db) }),
    ...(wanted('proof') && { proof: await benchProof(db) }),
    ...(wanted('provision') && { provision: await benchProvision(db) }),
    ...(wanted('fleet') && { fleet: await benchFleet(db) }),
    ...(wanted('move') && { move: await benchMove() }),
    ...(wanted('backup') && { backup: await benchBackup(db) }),
    ...(wanted('crowd') && { crowd: await benchCrowd(db) }),
    ...(wanted('context') && { context: await benchContextSwitches(db, Number(values.switches)) }),
  }
}

/** One number per rival: scoped reads, 16 in flight, no network delay. */
function headlineRatios(scoped: readonly ScopedScenario[]) {
  return scoped.find((each) => each.operation === 'read' && each.inFlight === 16 && each.networkMs === 0)?.ratios ?? {}
}

function machine(db: BenchDatabase) {
  return {
    node: process.versions.node,
    postgres: db.server,
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? '',
    date: new Date().toISOString().slice(0, 10),
  }
}
