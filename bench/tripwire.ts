import { createRowhouse, type Rowhouse } from 'rowhouse'
import type { BenchDatabase } from './database.ts'
import { TENANTS } from './database.ts'
import { type Operation, percentiles, round } from './measure.ts'

/** Scoped reads with the tripwire as named, by turns in one run. */
export interface TripwireScenario {
  readonly rows: number
  readonly inFlight: number
  readonly off: TripwireFigures
  readonly enforce: TripwireFigures
  /** With one honey token to watch for as well. */
  readonly honey: TripwireFigures
  /** Median over the rounds of what the round lost against `off`, in percent; below zero is noise. */
  readonly enforceCostPercent: number
  readonly honeyCostPercent: number
  /** The same of processor time per read, which other work on the machine disturbs less. */
  readonly enforceCpuPercent: number
  readonly honeyCpuPercent: number
}

export interface TripwireFigures {
  readonly opsPerSecond: number
  readonly cpuPerReadUs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const SCENARIOS = [
  { rows: 1, inFlight: 16, reads: 800 },
  { rows: 1, inFlight: 1, reads: 150 },
  { rows: 100, inFlight: 16, reads: 150 },
  { rows: 100, inFlight: 1, reads: 50 },
] as const

/** Many rounds of some 30 ms, an odd number: other work on the machine comes and goes more slowly, and hits neighbours in time alike. */
const ROUNDS = 101

const HONEY_TOKENS = ['hny_00000000000000000000']

const MODES = ['off', 'enforce', 'honey'] as const
type Mode = (typeof MODES)[number]

/** What comparing each row's tenant costs a scoped read, for one row and for a hundred. */
export async function benchTripwire(database: BenchDatabase): Promise<TripwireScenario[]> {
  const { appUrl: url, rootKey } = database
  const open = (options: object) => createRowhouse({ url, rootKey, ...options })
  const rowhouses: Record<Mode, Rowhouse> = {
    off: await open({ tripwire: 'off' }),
    enforce: await open({}),
    honey: await open({ honeyTokens: HONEY_TOKENS }),
  }
  const results: TripwireScenario[] = []
  for (const scenario of SCENARIOS) results.push(await runScenario(scenario, rowhouses, database))
  await Promise.all(Object.values(rowhouses).map((rowhouse) => rowhouse.close()))
  return results
}

async function runScenario(
  { rows, inFlight, reads }: (typeof SCENARIOS)[number],
  rowhouses: Record<Mode, Rowhouse>,
  { tenants }: BenchDatabase,
): Promise<TripwireScenario> {
  process.stderr.write(`tripwire, ${rows} rows, ${inFlight} in flight\n`)
  const columns = 'select tenant_id, id, status, amount, note from sealed'
  const text = `${columns} where ${rows === 1 ? 'id = $1' : 'id between $1 and $2'}`
  const readWith =
    (rowhouse: Rowhouse): Operation =>
    (turn) =>
      rowhouse.withTenant(tenants[turn % TENANTS]?.slug ?? '', (db) => {
        const first = 1 + ((turn * 7_919) % 9_000)
        return db.many(text, rows === 1 ? [first] : [first, first + rows - 1])
      })
  const samples: Record<Mode, TripwireFigures[]> = { off: [], enforce: [], honey: [] }
  for (const mode of MODES) await runReads(readWith(rowhouses[mode]), inFlight, reads)
  for (let round = 0; round < ROUNDS; round++) {
    // Each round begins with another one, so that none always runs in the wake of the same neighbour.
    for (const mode of rotated(MODES, round)) {
      samples[mode].push(await runReads(readWith(rowhouses[mode]), inFlight, reads))
    }
  }
  return { rows, inFlight, ...summarise(samples) }
}

async function runReads(read: Operation, inFlight: number, reads: number): Promise<TripwireFigures> {
  const latencies: number[] = []
  let turn = 0
  const worker = async () => {
    while (turn < reads) {
      const beganMs = performance.now()
      await read(turn++)
      latencies.push(performance.now() - beganMs)
    }
  }
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await Promise.all(Array.from({ length: inFlight }, worker))
  const elapsedMs = performance.now() - startedMs
  const { user, system } = process.cpuUsage(before)
  const opsPerSecond = (latencies.length / elapsedMs) * 1000
  return { opsPerSecond, cpuPerReadUs: (user + system) / latencies.length, ...percentiles(latencies) }
}

function summarise(samples: Record<Mode, TripwireFigures[]>) {
  const middle = (mode: Mode): TripwireFigures => ({
    opsPerSecond: Math.round(median(samples[mode].map((each) => each.opsPerSecond))),
    cpuPerReadUs: round(median(samples[mode].map((each) => each.cpuPerReadUs)), 1),
    p50Ms: round(median(samples[mode].map((each) => each.p50Ms)), 3),
    p99Ms: round(median(samples[mode].map((each) => each.p99Ms)), 3),
  })
  const lost = (mode: Mode, of: (figures: TripwireFigures) => number) =>
    round((1 - median(samples.off.map((off, i) => of(samples[mode][i] as TripwireFigures) / of(off)))) * 100, 1)
  const perRead = (figures: TripwireFigures) => figures.cpuPerReadUs
  return {
    off: middle('off'),
    enforce: middle('enforce'),
    honey: middle('honey'),
    enforceCostPercent: lost('enforce', (figures) => figures.opsPerSecond),
    honeyCostPercent: lost('honey', (figures) => figures.opsPerSecond),
    enforceCpuPercent: -lost('enforce', perRead),
    honeyCpuPercent: -lost('honey', perRead),
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, i) => list[(i + by) % list.length] as T)
}
