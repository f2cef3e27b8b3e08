import { buildCommand } from '@stricli/core'
import type { KeepReport, KeptTenant } from 'rowhouse-server'
import { asTyped, type Context, command, type Io, wholeNumber } from '../command.ts'
import { FINDINGS, UsageError } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'
import { progressLine } from '../progress.ts'
import { countText, durationText, toned } from '../terminal.ts'
import { type BackupFlags, backupFlags, withBackups } from './backup-store.ts'

interface RunFlags extends BackupFlags {
  readonly every: number
  readonly keepLast?: number
  readonly keepDays?: number
  readonly drillEvery: number
  readonly noDrill: boolean
}

const hours = wholeNumber(1, 8_760)

export const runCommand = buildCommand<RunFlags, [], Context>({
  func: command<RunFlags, []>(async (io, flags) => {
    const { every, keepLast, keepDays = 0, drillEvery, noDrill } = flags
    if (keepLast === undefined && keepDays > 0)
      throw new UsageError('Cannot tell what to remove: --keep-days goes with --keep-last')
    const show = progressLine(io, flags.json)
    const report = await withBackups(io, flags, (backups) =>
      asTyped(() =>
        backups.keep({
          everyHours: every,
          drillEveryHours: noDrill ? false : drillEvery,
          ...(keepLast !== undefined && { retention: { keepLast, keepDays } }),
          onTenant: ({ tenant }, done, total) => show(done, total, tenant),
        }),
      ),
    )
    if (flags.json) printJson(io, report)
    else printReport(io, report)
    return report.failures.length > 0 ? FINDINGS : undefined
  }),
  parameters: {
    flags: {
      ...backupFlags,
      every: {
        kind: 'parsed',
        parse: hours,
        default: '24',
        brief: 'Hours: a tenant whose newest good backup is older gets another',
        placeholder: 'hours',
      },
      keepLast: {
        kind: 'parsed',
        parse: wholeNumber(1, 10_000),
        optional: true,
        brief: 'Keep the newest so many of each tenant [default = all]',
        placeholder: 'n',
      },
      keepDays: {
        kind: 'parsed',
        parse: wholeNumber(0, 36_500),
        optional: true,
        brief: 'Keep also those of the last so many days',
        placeholder: 'n',
      },
      drillEvery: {
        kind: 'parsed',
        parse: hours,
        default: '24',
        brief: 'Hours: rehearse one restore this often, the tenant of the oldest rehearsal first',
        placeholder: 'hours',
      },
      noDrill: { kind: 'boolean', default: false, withNegated: false, brief: 'Rehearse nothing' },
    },
  },
  docs: {
    brief: 'Do what is due: back up, remove old backups, rehearse. For a timer, as often as it likes',
    fullDescription: [
      'Backs up each active or suspended tenant without a good backup of late, and rehearses one restore. Tenants that are',
      'being moved are left to the next run. Runs that overlap share the work. Exit code 1: something failed, the rest was done.',
    ].join('\n'),
  },
})

function printReport(io: Io, { tenants, drill, removed, swept, failures }: KeepReport): void {
  const notable = tenants.filter(({ outcome }) => outcome !== 'fresh')
  if (notable.length > 0)
    printRows(
      io,
      notable.map((each) => ({ ...each })),
      ['tenant', 'outcome', 'rows', 'name'],
    )
  const told = OUTCOMES.flatMap((outcome) => {
    const count = tenants.filter((each) => each.outcome === outcome).length
    return count === 0 ? [] : [`${countText(count)} ${outcome}`]
  })
  io.stdout.write(`${countText(tenants.length)} tenants: ${told.join(', ') || 'none'}\n`)
  if (removed.length + swept > 0) io.stdout.write(`${removed.length} old removed, ${swept} unfinished swept\n`)
  if (drill !== undefined)
    io.stdout.write(`Rehearsed ${drill.name}: ${countText(drill.rows)} rows restored in ${durationText(drill.ms)}\n`)
  for (const { doing, tenant, code, message } of failures) {
    const what = `${doing}${tenant === undefined ? '' : ` of ${tenant}`}`
    io.stderr.write(`${toned(io, io.stderr, 'bad', 'failed')} ${what}: ${code === null ? '' : `${code}: `}${message}\n`)
  }
}

const OUTCOMES: readonly KeptTenant['outcome'][] = ['backed-up', 'fresh', 'deferred', 'busy', 'failed', 'left']
