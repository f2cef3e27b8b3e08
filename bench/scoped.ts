import type { BenchDatabase } from './database.ts'
import { ROWS, TENANTS } from './database.ts'
import { startDelayProxy } from './delay-proxy.ts'
import { type Figures, measureInTurns, type Operation, round } from './measure.ts'
import {
  openBetterTenant,
  openDrizzleRls,
  openHandWritten,
  openPrismaRls,
  openRowhouse,
  openUsualWay,
  type Rival,
} from './rivals.ts'

export interface ScopedScenario {
  readonly operation: 'read' | 'insert'
  readonly inFlight: number
  readonly networkMs: number
  readonly figures: Readonly<Record<string, Figures>>
  /** Ours divided by each rival's, of operations per second. */
  readonly ratios: Readonly<Record<string, number>>
  /** Ours divided by the hand-written p99. */
  readonly p99Ratio: number
}

const SCENARIOS = [
  { operation: 'read', inFlight: 16, networkMs: 0 },
  { operation: 'read', inFlight: 1, networkMs: 0 },
  { operation: 'insert', inFlight: 16, networkMs: 0 },
  { operation: 'insert', inFlight: 1, networkMs: 0 },
  { operation: 'read', inFlight: 16, networkMs: 1 },
  { operation: 'read', inFlight: 1, networkMs: 1 },
] as const

const ROUND_MS = 400
const ROUNDS = 3

/** Scoped reads and inserts against SQL written by hand and against what else can be installed. */
export async function benchScoped(database: BenchDatabase): Promise<ScopedScenario[]> {
  const proxy = await startDelayProxy(database.appUrl, 1)
  const results: ScopedScenario[] = []
  for (const networkMs of [0, 1]) {
    const rivals = await openRivals(database, networkMs === 0 ? database.appUrl : proxy.url)
    for (const scenario of SCENARIOS.filter((each) => each.networkMs === networkMs)) {
      results.push(await runScenario(scenario, rivals))
    }
    await Promise.all(Object.values(rivals).map((rival) => rival.close()))
  }
  await proxy.stop()
  return results
}

async function openRivals(database: BenchDatabase, url: string): Promise<Record<string, Rival>> {
  return {
    rowhouse: await openRowhouse(database, url),
    handWritten: openHandWritten(database, url, false),
    handWrittenPrepared: openHandWritten(database, url, true),
    usualWay: openUsualWay(database, url),
    betterTenant: openBetterTenant(database, url),
    drizzleRls: openDrizzleRls(database, url),
    prismaRls: await openPrismaRls(database, url),
  }
}

/** Ids of inserted rows: never one that exists, whatever ran before. */
let nextId = 1_000_000_000

async function runScenario(
  { operation, inFlight, networkMs }: (typeof SCENARIOS)[number],
  rivals: Record<string, Rival>,
): Promise<ScopedScenario> {
  const perTenant = ROWS / TENANTS
  const toOperation = (rival: Rival): Operation =>
    operation === 'read'
      ? (turn) => rival.read(turn % TENANTS, 1 + ((turn * 7_919) % perTenant))
      : (turn) => rival.insert(turn % TENANTS, nextId++)
  const operations = Object.fromEntries(Object.entries(rivals).map(([name, rival]) => [name, toOperation(rival)]))
  process.stderr.write(`${operation}, ${inFlight} in flight, ${networkMs} ms of network\n`)
  const figures = await measureInTurns(operations, { inFlight, roundMs: ROUND_MS, rounds: ROUNDS })
  const ours = figures.rowhouse as Figures
  const others = Object.entries(figures).filter(([name]) => name !== 'rowhouse')
  const ratios = Object.fromEntries(
    others.map(([name, theirs]) => [name, round(ours.opsPerSecond / theirs.opsPerSecond)]),
  )
  return {
    operation,
    inFlight,
    networkMs,
    figures,
    ratios,
    p99Ratio: round(ours.p99Ms / (figures.handWritten?.p99Ms ?? 1)),
  }
}
