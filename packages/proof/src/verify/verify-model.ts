import { type Pair, pairsOf, type VerifyModel } from './placing.ts'
import { setStage } from './stage.ts'
import { attackStage, type Verdict, type VerifyOptions, type VerifyReport } from './verify.ts'

/**
 * As `verify`, on tenants that live as `model` says: in shared tables, in a schema each, in a database each, or (`hybrid`)
 * each model beside each other.
 *
 * @throws what `verify` throws
 */
export async function verifyModel(options: Omit<VerifyOptions, 'pair'>, model: VerifyModel): Promise<VerifyReport> {
  const started = performance.now()
  const pairs = pairsOf(model)
  const reports: VerifyReport[] = []
  for (const [index, pair] of pairs.entries()) {
    const stage = await setStage({ ...options, pair })
    try {
      const onProgress: VerifyOptions['onProgress'] = (done, total, what) =>
        options.onProgress?.(
          index * total + done,
          pairs.length * total,
          pairs.length === 1 ? what : `${named(pair)}: ${what}`,
        )
      const report = await attackStage(stage, { ...options, onProgress })
      reports.push(pairs.length === 1 ? report : withPair(report, pair))
    } finally {
      await stage.close()
    }
  }
  return merge(reports, performance.now() - started)
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
