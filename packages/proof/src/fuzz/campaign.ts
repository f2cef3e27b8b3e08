import type { Arena } from './arena.ts'
import type { Difference } from './outcome.ts'
import { shrink } from './shrink.ts'
import { type Case, makeCase, textsOf } from './statement.ts'

export interface FuzzFailure {
  /** `--from <number> --statements 1` with the same seed makes it again. */
  readonly number: number
  readonly kind: string
  readonly reason: Difference['reason']
  /** True when it ran in a context limited to units. */
  readonly units: boolean
  readonly sql: string
  /** The smallest statement found that fails for the same reason. */
  readonly shrunk: string
  /** What it did among the rows of other tenants, and without them; of the smallest. */
  readonly all: string
  readonly alone: string
}

export interface Campaign {
  readonly statements: number
  readonly inconclusive: number
  readonly failures: readonly FuzzFailure[]
  readonly byKind: Readonly<Record<string, number>>
  /** Cases done once more for good, with everybody's rows compared afterwards. */
  readonly committed: number
}

interface CampaignOptions {
  readonly seed: number
  readonly from: number
  readonly statements: number
  readonly major: number
  /** Which statements to run; the others are skipped and not counted. @defaultValue all */
  readonly only?: ((testCase: Case) => boolean) | undefined
  readonly maxFailures: number
  readonly signal?: AbortSignal | undefined
  readonly onBatch?: (statements: number, failures: number) => void
}

/** Statements between two inspections. Then nothing runs, so more of it costs time and less lets dead rows pile up. */
const BATCH = 1_000
/** Writes of a batch that are done for good, each to another table. */
const COMMITTED_PER_BATCH = 4
/**
 * Cases under way at once: those of a transaction wait for the one pooled connection of a side, the others share a lane.
 * Each kind has its own workers, or the slower kind would hold them all.
 */
const BLOCK_WORKERS = 2
const LANE_WORKERS = 6

/** Runs statements in an arena until there are enough of them, or of failures, or `signal` is aborted. */
export async function runCampaign(arena: Arena, options: CampaignOptions): Promise<Campaign> {
  const failures: FuzzFailure[] = []
  const byKind: Record<string, number> = {}
  let statements = 0
  let inconclusive = 0
  let committed = 0
  let next = options.from
  while (statements < options.statements && failures.length < options.maxFailures) {
    options.signal?.throwIfAborted()
    const cases = takeCases(Math.min(BATCH, options.statements - statements))
    const { failing, writes, voids } = await runBatch(arena, cases, options)
    inconclusive += voids
    statements += cases.length
    for (const testCase of cases) byKind[testCase.kind] = (byKind[testCase.kind] ?? 0) + 1
    const changed = await arena.inspect()
    for (const { testCase, difference } of failing.slice(0, options.maxFailures - failures.length))
      failures.push(await explain(arena, testCase, difference, 'undone', options))
    if (changed !== undefined && failing.length === 0) failures.push(unattributed(cases, changed))
    const kept = failures.length === 0 ? oneEachTable(writes) : []
    for (const testCase of kept) {
      options.signal?.throwIfAborted()
      const difference = await arena.commitCase(testCase)
      if (difference !== undefined) failures.push(await explain(arena, testCase, difference, 'kept', options))
    }
    committed += kept.length
    options.onBatch?.(statements, failures.length)
  }
  return { statements, inconclusive, failures, byKind, committed }

  function takeCases(count: number): Case[] {
    const cases: Case[] = []
    while (cases.length < count) {
      const testCase = makeCase(options.seed, next, options.major)
      next += 1
      if (options.only === undefined || options.only(testCase)) cases.push(testCase)
    }
    return cases
  }
}

interface Batch {
  readonly failing: readonly { readonly testCase: Case; readonly difference: Difference }[]
  readonly writes: readonly Case[]
  readonly voids: number
}

async function runBatch(
  arena: Arena,
  cases: readonly Case[],
  { signal, maxFailures }: CampaignOptions,
): Promise<Batch> {
  const failing: { testCase: Case; difference: Difference }[] = []
  const writes: Case[] = []
  let voids = 0
  const work = async (queue: Iterator<Case>) => {
    for (let { value, done } = queue.next(); done !== true; { value, done } = queue.next()) {
      signal?.throwIfAborted()
      if (failing.length >= maxFailures) return
      const testCase = value as Case
      const { difference, inconclusive, succeeded } = await arena.tryCase(testCase)
      if (inconclusive) voids += 1
      if (difference !== undefined) failing.push({ testCase, difference })
      else if (succeeded && testCase.target !== undefined) writes.push(testCase)
    }
  }
  const onLane = ({ form }: Case) => form === 'single' || form === 'rotation'
  const queues = [cases.filter(onLane).values(), cases.filter((testCase) => !onLane(testCase)).values()] as const
  const workers = [
    ...Array.from({ length: LANE_WORKERS }, () => work(queues[0])),
    ...Array.from({ length: BLOCK_WORKERS }, () => work(queues[1])),
  ]
  // All of them, also when one was aborted: nothing may run while the databases are inspected or dropped.
  const ends = await Promise.allSettled(workers)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  failing.sort((a, b) => a.testCase.number - b.testCase.number)
  writes.sort((a, b) => a.number - b.number)
  return { failing, writes, voids }
}

function oneEachTable(writes: readonly Case[]): Case[] {
  const byTarget = new Map(writes.map((testCase) => [testCase.target, testCase]))
  return [...byTarget.values()].slice(-COMMITTED_PER_BATCH)
}

/** Shrinks a failing case and says what became of it. One that does not fail again is reported as it was. */
async function explain(
  arena: Arena,
  testCase: Case,
  first: Difference,
  writes: 'undone' | 'kept',
  { signal }: CampaignOptions,
): Promise<FuzzFailure> {
  const differ = async (smaller: Case) => {
    signal?.throwIfAborted()
    return writes === 'kept' ? arena.commitCase(smaller) : (await arena.tryCase(smaller)).difference
  }
  let last = first
  const smallest = await shrink(testCase, async (smaller) => {
    const difference = await differ(smaller)
    if (difference === undefined || difference.reason !== first.reason) return false
    last = difference
    return true
  })
  return {
    number: testCase.number,
    kind: testCase.kind,
    reason: first.reason,
    units: smallest.units,
    sql: textsOf(testCase).join(';\n'),
    shrunk: textsOf(smallest).join(';\n'),
    all: last.all,
    alone: last.alone,
  }
}

/** Rows changed although everything was rolled back: some statement of the batch did it, and none was seen to. */
function unattributed(cases: readonly Case[], { reason, all, alone }: Difference): FuzzFailure {
  const numbers = cases.map(({ number }) => number)
  const sql = `one of the statements ${numbers[0]} to ${numbers.at(-1)}`
  return { number: numbers[0] ?? 0, kind: 'batch', reason, units: false, sql, shrunk: sql, all, alone }
}
