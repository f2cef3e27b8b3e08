import { SCRATCH, toOperatorError } from '../operator/operator-error.ts'
import { type Pair, pairsOf, type VerifyModel } from './placing.ts'
import { setStage } from './stage.ts'
import { attackStage, type Verdict, type VerifyOptions, type VerifyReport } from './verify.ts'

type VerifyModelOptions = Omit<VerifyOptions, 'pair'>
type Progress = NonNullable<VerifyOptions['onProgress']>

/**
 * As `verify`, on tenants that live as `model` says: in shared tables, in a schema each, in a database each, or (`hybrid`)
 * each model beside each other.
 *
 * @throws what `verify` throws
 */
export async function verifyModel(options: VerifyModelOptions, model: VerifyModel): Promise<VerifyReport> {
  const started = performance.now()
  const pairs = pairsOf(model)
  const reports: VerifyReport[] = []
  const waiting = pairs.entries()
  const tell = progressOf(options, pairs.length)
  const work = async () => {
    for (const [index, pair] of waiting) reports[index] = await attackPair(options, pair, tell(index, pair))
  }
  // All end before any failure is told: what one has made on the server is gone then.
  const ended = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, pairs.length) }, work))
  const failed = ended.find((end) => end.status === 'rejected')
  if (failed !== undefined) {
    options.signal?.throwIfAborted()
    throw toOperatorError(failed.reason, SCRATCH)
  }
  return merge(
    pairs.length === 1 ? reports : reports.map((report, index) => withPair(report, pairs[index] as Pair)),
    performance.now() - started,
  )
}

/** Pairs attacked side by side: half of the time goes into databases being made and dropped. */
const AT_ONCE = 2

async function attackPair(options: VerifyModelOptions, pair: Pair, onProgress: Progress): Promise<VerifyReport> {
  options.signal?.throwIfAborted()
  const stage = await setStage({ ...options, pair })
  try {
    return await attackStage(stage, { ...options, onProgress })
  } finally {
    await stage.close()
  }
}

/** One count over all pairs, whichever is ahead. */
function progressOf({ onProgress }: VerifyModelOptions, pairs: number): (index: number, pair: Pair) => Progress {
  const done: number[] = Array.from({ length: pairs }, () => 0)
  return (index, pair) => (count, total, what) => {
    done[index] = count
    const all = done.reduce((sum, each) => sum + each, 0)
    onProgress?.(all, pairs * total, pairs === 1 ? what : `${named(pair)}: ${what}`)
  }
}

function named({ attacker, victim }: Pair): string {
  return `${attacker} against ${victim}`
}

function withPair({ cells, ...report }: VerifyReport, pair: Pair): VerifyReport {
  return { ...report, cells: cells.map((cell) => ({ ...cell, target: `${cell.target} (${named(pair)})` })) }
}

/** Sums what was found; what is said of the schema itself is the same in each report. */
function merge(reports: readonly VerifyReport[], elapsedMs: number): VerifyReport {
  const [first] = reports
  if (first === undefined) throw new Error('Cannot sum up no report')
  const cells = reports.flatMap((report) => report.cells)
  const count = (verdict: Verdict) => cells.filter((cell) => cell.verdict === verdict).length
  const sum = (of: (report: VerifyReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  const uncloned = new Map(
    reports.flatMap((report) => report.uncloned).map((one) => [`${one.object} ${one.reason}`, one]),
  )
  return {
    ...first,
    cells,
    leaked: count('leaked'),
    refused: count('refused'),
    notApplicable: count('not-applicable'),
    void: count('void'),
    controls: { fired: sum(({ controls }) => controls.fired), total: sum(({ controls }) => controls.total) },
    uncloned: [...uncloned.values()],
    isolated: reports.every(({ isolated }) => isolated),
    elapsedMs,
  }
}
