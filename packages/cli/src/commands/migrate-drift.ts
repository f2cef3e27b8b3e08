import { buildCommand } from '@stricli/core'
import type { DriftedHome, DriftReport } from 'rowhouse-server'
import { type Context, command, type Io, wholeNumber } from '../command.ts'
import { type ConfigFlags, configFlags, loadServer, withFleet } from '../control-plane.ts'
import { FINDINGS } from '../exit-code.ts'
import { printJson } from '../print.ts'
import { homeOf, printLeft } from '../print-fleet.ts'
import { openProgressBar } from '../progress-bar.ts'
import { countText, toned } from '../terminal.ts'

interface Flags extends ConfigFlags {
  readonly concurrency?: number
  readonly repair: boolean
}

export const driftCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, flags) => {
    const { findDrift, fleetStatus, repairHome } = await loadServer()
    const bar = openProgressBar(io)
    try {
      return await withFleet(io, flags, async ({ connections, migrations }) => {
        const { homes: total } = await fleetStatus(connections, migrations)
        let done = 0
        const report = await findDrift(connections, migrations, {
          ...(flags.concurrency !== undefined && { concurrency: flags.concurrency }),
          ...(io.signal !== undefined && { signal: io.signal }),
          onHome: () => {
            done += 1
            bar.show({ label: 'drift', done, total })
          },
        })
        bar.end()
        if (flags.json) printJson(io, report)
        else print(io, report)
        if (report.drifted.length === 0) return undefined
        if (!flags.repair) return FINDINGS
        const safe = report.drifted.filter(isSafe)
        for (const { home, repair } of safe) {
          await repairHome(connections, home, repair)
          if (!flags.json) io.stderr.write(`repaired ${homeOf(home)}\n`)
        }
        return safe.length < report.drifted.length ? FINDINGS : undefined
      })
    } finally {
      bar.end()
    }
  }),
  parameters: {
    flags: {
      ...configFlags,
      concurrency: {
        kind: 'parsed',
        parse: wholeNumber(1, 6),
        optional: true,
        brief: 'Homes compared at a time, 1 to 6 [default = 4]',
        placeholder: 'n',
      },
      repair: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Run the SQL of homes where it loses nothing and blocks nobody',
      },
    },
  },
  docs: {
    brief: 'Compare every home with what the migrations make, and show the SQL that repairs it',
    fullDescription:
      'Changes nothing without --repair. Homes that are behind are left out: migrate first. Exit code 1: a home differs, or after --repair a home is left for people.',
  },
})

/** What would lose data, or stand in the way of others, waits for somebody who looked at it. */
function isSafe({ repair: { byHand, findings } }: DriftedHome): boolean {
  return byHand.length === 0 && findings.every(({ severity }) => severity !== 'error')
}

const MARKS = { missing: '−', extra: '+', changed: '~' } as const

function print(io: Io, { compared, drifted, left }: DriftReport): void {
  const { stdout } = io
  for (const home of drifted) printHome(io, home)
  if (left.length > 0) {
    stdout.write(`${toned(io, stdout, 'dim', 'not compared')}\n`)
    printLeft(io, stdout, left)
  }
  const text = `${countText(compared)} homes compared, ${drifted.length === 0 ? 'none differs' : `${countText(drifted.length)} differ`}`
  stdout.write(`${toned(io, stdout, drifted.length === 0 ? 'good' : 'bad', text)}\n`)
}

function printHome(io: Io, { home, tenant, differences, repair }: DriftedHome): void {
  const { stdout } = io
  stdout.write(`${toned(io, stdout, 'bold', tenant ?? homeOf(home))}  ${toned(io, stdout, 'dim', homeOf(home))}\n`)
  for (const { change, object } of differences) {
    const { kind, name, table = name } = object
    const of = name === table || name.startsWith(`${table}.`) ? '' : ` of ${table}`
    stdout.write(`  ${MARKS[change]} ${change} ${kind} ${name}${of}\n`)
  }
  for (const statement of repair.statements) stdout.write(`      ${statement.replaceAll('\n', '\n      ')};\n`)
  for (const work of repair.byHand) stdout.write(`  ${toned(io, stdout, 'bad', 'by hand')}  ${work}\n`)
  stdout.write('\n')
}
