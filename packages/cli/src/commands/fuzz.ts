import { buildCommand } from '@stricli/core'
import { type FuzzFailure, type FuzzReport, fuzz } from 'rowhouse-proof'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag, wholeNumber } from '../command.ts'
import { FINDINGS } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { progressLine } from '../progress.ts'
import { withScratchServer } from '../scratch-server.ts'

interface Flags extends AdminFlags {
  readonly statements: number
  readonly seed: number
  readonly from: number
  readonly weakness?: string
  readonly controls: boolean
}

const MOST = Number.MAX_SAFE_INTEGER

export const fuzzCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>((io, flags) =>
    withScratchServer(io, flags, async (urls) => {
      const { json, statements, seed, from, controls, weakness } = flags
      const progress = progressLine(io, json)
      const report = await fuzz({
        ...urls,
        ...{ seed, statements, from, controls },
        ...(weakness === undefined ? {} : { weakness }),
        ...(io.signal === undefined ? {} : { signal: io.signal }),
        onProgress: ({ statements: done, of, failures, perSecond }) =>
          progress(
            done,
            of,
            `${failures} failures, ${perSecond} per second, ${perSecond === 0 ? 0 : Math.round((of - done) / perSecond)} s left`,
          ),
      })
      if (json) printJson(io, report)
      else print(io, report)
      return report.void || report.failures.length > 0 ? FINDINGS : undefined
    }),
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      statements: { kind: 'parsed', parse: wholeNumber(1, MOST), default: '10000', brief: 'How many' },
      seed: {
        kind: 'parsed',
        parse: wholeNumber(0, MOST),
        default: '1',
        brief: 'The same seed makes the same statements',
      },
      from: {
        kind: 'parsed',
        parse: wholeNumber(0, MOST),
        default: '0',
        brief: 'Number of the first, to run one of them again',
      },
      weakness: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Run against isolation broken on purpose, e.g. update-open',
      },
      controls: { kind: 'boolean', default: true, brief: 'Break the isolation in every known way first' },
    },
  },
  docs: {
    brief: 'Run generated SQL as one tenant among others and alone, and compare',
    fullDescription:
      'Works on scratch databases, on the server of ROWHOUSE_ADMIN_URL and DATABASE_URL where they are set, else on a PostgreSQL started for it. Exit code 1: an answer differed, or a control did not fire.',
  },
})

function print(io: Io, report: FuzzReport): void {
  for (const failure of report.failures) printFailure(io, failure, report.seed)
  for (const { name, fired, statements, failure } of report.controls) {
    const shown = failure === undefined ? '' : `: ${failure.shrunk.replaceAll('\n', ' ')}`
    io.stdout.write(
      `control ${name} ${fired ? `fired within ${statements}` : `DID NOT FIRE in ${statements}`}${shown}\n`,
    )
  }
  const kinds = Object.entries(report.byKind).map(([kind, count]) => `${kind} ${count}`)
  io.stdout.write(`kinds: ${kinds.join(', ')}; ${report.committed} committed; ${report.inconclusive} inconclusive\n`)
  const verdict = report.void ? 'VOID: a control did not fire' : `${report.failures.length} failures`
  io.stderr.write(
    `seed ${report.seed}: ${report.statements} statements at ${report.perSecond} per second, ${verdict}\n`,
  )
}

function printFailure(
  io: Io,
  { number, kind, reason, units, sql, shrunk, all, alone }: FuzzFailure,
  seed: number,
): void {
  io.stdout.write(`\nstatement ${number} of seed ${seed} (${kind}${units ? ', limited to units' : ''}): ${reason}
${sql}
-- smallest that still fails:
${shrunk}
-- among other tenants:
${shorten(all)}
-- alone:
${shorten(alone)}\n`)
}

/** Lines of an outcome that are printed. */
const SHOWN = 20

function shorten(outcome: string): string {
  const lines = outcome.split('\n')
  return lines.length <= SHOWN ? outcome : [...lines.slice(0, SHOWN), `… ${lines.length - SHOWN} more lines`].join('\n')
}
