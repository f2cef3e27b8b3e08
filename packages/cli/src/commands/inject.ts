import { buildCommand } from '@stricli/core'
import { type InjectionReport, inject } from 'rowhouse-proof'
import { type AdminFlags, adminUrlFileFlag, type Context, command, type Io, jsonFlag, wholeNumber } from '../command.ts'
import { FINDINGS } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { progressLine } from '../progress.ts'
import { withScratchServer } from '../scratch-server.ts'

interface Flags extends AdminFlags {
  readonly seed: number
  readonly limit?: number
}

export const injectCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>((io, flags) =>
    withScratchServer(io, flags, async (urls) => {
      const progress = progressLine(io, flags.json)
      const report = await inject({
        ...urls,
        seed: flags.seed,
        ...(flags.limit === undefined ? {} : { limit: flags.limit }),
        ...(io.signal === undefined ? {} : { signal: io.signal }),
        onProgress: (done, total) => progress(done, total, 'payloads'),
      })
      if (flags.json) printJson(io, report)
      else print(io, report)
      return crossed(report).length > 0 || report.controls.void.length > 0 || !report.seesLeaks ? FINDINGS : undefined
    }),
  ),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      seed: {
        kind: 'parsed',
        parse: wholeNumber(0, Number.MAX_SAFE_INTEGER),
        default: '0',
        brief: 'Turns the combinations of place, action and disguise',
      },
      limit: {
        kind: 'parsed',
        parse: wholeNumber(1, 1_000_000),
        optional: true,
        brief: 'Send at most so many payloads',
      },
    },
  },
  docs: {
    brief: 'Inject SQL into statements of one tenant, and look as the next one',
    fullDescription:
      'Works on scratch databases, on the server of ROWHOUSE_ADMIN_URL and DATABASE_URL where they are set, else on a PostgreSQL started for it. Exit code 1: rows of another tenant were reached, or a control did not fire.',
  },
})

/** Leaks that reach rows. What else is left for the next tenant is what PostgreSQL leaves open: SECURITY.md lists it. */
function crossed({ leaks }: InjectionReport) {
  return leaks.filter(({ found }) => found.some((what) => /came back|changed|may do that/.test(what)))
}

function print(io: Io, report: InjectionReport): void {
  const { refused, harmless, undone, leaked } = report.verdicts
  for (const { payload, way, found } of report.leaks.slice(0, SHOWN))
    io.stdout.write(`LEFT OVER ${payload.family} / ${payload.action} by ${way}: ${found.join('; ')}\n`)
  io.stderr.write(
    `${report.payloads} payloads in ${report.runs} runs, ${Math.round((100 * report.parsed) / report.runs)} % of them SQL: ${crossed(report).length} reached another tenant; ${refused} refused, ${harmless} harmless, ${undone} undone, ${leaked} left something; ${report.controls.fired} of ${report.controls.total} controls fired; ${(report.elapsedMs / 1000).toFixed(1)} s\n`,
  )
}

/** Leftovers that are printed. */
const SHOWN = 20
