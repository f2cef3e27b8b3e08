import { buildCommand, buildRouteMap } from '@stricli/core'
import type { BackupReport, ListedBackup } from 'rowhouse-server'
import { asTyped, type Context, command, type Io, wholeNumber } from '../command.ts'
import { FINDINGS, UsageError } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'
import { countText, durationText, toned } from '../terminal.ts'
import { diffCommand, restoreCommand } from './backup-restore.ts'
import { runCommand } from './backup-run.ts'
import {
  type BackupFlags,
  backupFlags,
  inFolder,
  listTenantsToKeep,
  tableProgress,
  withBackups,
} from './backup-store.ts'

interface CreateFlags extends BackupFlags {
  readonly all: boolean
}

const create = buildCommand<CreateFlags, string[], Context>({
  func: command<CreateFlags, string[]>(async (io, flags, ...named) => {
    if ((named.length === 0) !== flags.all)
      throw new UsageError('Cannot tell what to back up: wanted tenants, or --all')
    const [tenant = ''] = named
    if (named.length === 1) {
      const onTable = tableProgress(io, flags.json)
      printBackup(io, await withBackups(io, flags, (backups) => backups.create(tenant, { onTable })), flags.json)
      return undefined
    }
    const tenants = flags.all ? await listTenantsToKeep(io, flags) : named
    const outcomes = await withBackups(io, flags, async (backups) => {
      const done: (BackupReport | { tenant: string; code: unknown; fault: string })[] = []
      for (const slug of tenants) {
        done.push(
          await backups
            .create(slug)
            .catch((error) => ({ tenant: slug, code: error.code ?? null, fault: (error as Error).message })),
        )
      }
      return done
    })
    if (flags.json) printJson(io, outcomes)
    else
      printRows(
        io,
        outcomes.map((each) => ({ ...each })),
        ['tenant', 'rows', 'bytes', 'name', 'fault'],
      )
    return outcomes.some((each) => 'fault' in each) ? FINDINGS : undefined
  }),
  parameters: {
    flags: {
      ...backupFlags,
      all: { kind: 'boolean', default: false, withNegated: false, brief: 'Every tenant that is active or suspended' },
    },
    positional: { kind: 'array', parameter: { parse: String, brief: 'Slugs or ids', placeholder: 'tenant' } },
  },
  docs: {
    brief: 'Back up a tenant, or all, while they work',
    fullDescription:
      'Takes one snapshot per tenant, compresses and encrypts it. The key comes from ROWHOUSE_ROOT_KEY. Exit code 1 with several: some tenants could not be backed up; the others were.',
  },
})

interface ListFlags extends BackupFlags {
  readonly tenant?: string
}

const list = buildCommand<ListFlags, [], Context>({
  func: command<ListFlags, []>(async (io, flags) => {
    const found = await withBackups(io, flags, (backups) => backups.list(flags.tenant))
    if (flags.json) printJson(io, found)
    else
      printRows(
        io,
        found.map((each) => ({ ...each })),
        ['name', 'tenant', 'takenAt', 'tables', 'rows', 'bytes', ...faultColumn(found)],
      )
    return found.some((each) => 'fault' in each) ? FINDINGS : undefined
  }),
  parameters: {
    flags: {
      ...backupFlags,
      tenant: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Slug or id [default = all]',
        placeholder: 'tenant',
      },
    },
  },
  docs: { brief: 'List backups, oldest first. Exit code 1: one cannot be opened' },
})

function faultColumn(found: readonly ListedBackup[]): string[] {
  return found.some((each) => 'fault' in each) ? ['fault'] : []
}

const verify = buildCommand<BackupFlags, [string], Context>({
  func: command<BackupFlags, [string]>(async (io, flags, name) => {
    const onTable = tableProgress(io, flags.json)
    const report = await withBackups(io, flags, (backups) => backups.verify(name, { onTable }))
    if (flags.json) printJson(io, report)
    else io.stdout.write(`${toned(io, io.stdout, 'good', 'Good')}: ${figures(report)}\n`)
  }),
  parameters: {
    flags: backupFlags,
    positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Name of the backup', placeholder: 'backup' }] },
  },
  docs: {
    brief: 'Read a backup from beginning to end: signature, every frame, digests, rows',
    fullDescription: 'Writes nothing. Exit code 65: it cannot be believed.',
  },
})

interface ExportFlags extends BackupFlags {
  readonly format: 'csv' | 'jsonl'
  readonly out: string
}

const exportCommand = buildCommand<ExportFlags, [string], Context>({
  func: command<ExportFlags, [string]>(async (io, flags, tenant) => {
    const out = inFolder(io, flags.out)
    const report = await withBackups(io, { ...flags, store: flags.store ?? out }, (backups) =>
      backups.export(tenant, out, flags.format),
    )
    if (flags.json) printJson(io, report)
    else
      io.stdout.write(
        `Exported ${countText(report.rows)} rows of ${report.tables} tables of ${report.tenant} to ${out}\n`,
      )
  }),
  parameters: {
    flags: {
      ...backupFlags,
      format: { kind: 'enum', values: ['csv', 'jsonl'], default: 'csv', brief: 'CSV or JSON lines' },
      out: { kind: 'parsed', parse: String, brief: 'Folder to make', placeholder: 'folder' },
    },
    positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Slug or id', placeholder: 'tenant' }] },
  },
  docs: {
    brief: "Write a tenant's rows for the tenant itself: CSV or JSON lines, with schema and digests",
    fullDescription: 'Not encrypted, and no backup: a restore reads what "backup create" writes.',
  },
})

interface DrillFlags extends BackupFlags {
  readonly server?: string
}

const drill = buildCommand<DrillFlags, [string], Context>({
  func: command<DrillFlags, [string]>(async (io, flags, tenant) => {
    const { server } = flags
    const report = await withBackups(io, flags, (backups) =>
      backups.drill(tenant, server === undefined ? {} : { server }),
    )
    if (flags.json) {
      printJson(io, report)
      return
    }
    const { name, rows, takenAt, ms, ageMs, sharedReferences } = report
    const age = toned(io, io.stdout, 'dim', `taken ${takenAt}, ${durationText(ageMs)} ago`)
    io.stdout.write(
      `Restored ${countText(rows)} rows of ${name} in ${durationText(ms)}, and dropped them: it works\n${age}\n`,
    )
    for (const note of sharedReferences) io.stdout.write(`note: ${note}\n`)
  }),
  parameters: {
    flags: {
      ...backupFlags,
      server: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: "Server to rehearse on [default = the tenant's own]",
        placeholder: 'name',
      },
    },
    positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Slug or id', placeholder: 'tenant' }] },
  },
  docs: {
    brief: 'Rehearse a restore of the newest backup in a database made for it',
    fullDescription: 'The tenant is not touched. Ends with the code a restore would be refused with.',
  },
})

interface PruneFlags extends BackupFlags {
  readonly tenant?: string
  readonly keepLast: number
  readonly keepDays: number
  readonly dryRun: boolean
}

const prune = buildCommand<PruneFlags, [], Context>({
  func: command<PruneFlags, []>(async (io, flags) => {
    const { keepLast, keepDays, dryRun, tenant } = flags
    const report = await withBackups(io, flags, (backups) =>
      asTyped(() => backups.prune({ keepLast, keepDays }, { dryRun, ...(tenant !== undefined && { tenant }) })),
    )
    if (flags.json) {
      printJson(io, report)
      return
    }
    for (const name of report.removed) io.stdout.write(`${dryRun ? 'would remove' : 'removed'} ${name}\n`)
    io.stdout.write(
      `${report.removed.length} ${dryRun ? 'to remove' : 'removed'}, ${report.kept} kept, ${report.swept} unfinished swept\n`,
    )
  }),
  parameters: {
    flags: {
      ...backupFlags,
      tenant: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Slug or id [default = all]',
        placeholder: 'tenant',
      },
      keepLast: {
        kind: 'parsed',
        parse: wholeNumber(1, 10_000),
        brief: 'Keep the newest so many of each tenant',
        placeholder: 'n',
      },
      keepDays: {
        kind: 'parsed',
        parse: wholeNumber(0, 36_500),
        default: '0',
        brief: 'Keep also those of the last so many days',
        placeholder: 'n',
      },
      dryRun: { kind: 'boolean', default: false, withNegated: false, brief: 'Remove nothing, show what would be' },
    },
  },
  docs: {
    brief: 'Remove old backups, and what killed backups left behind',
    fullDescription: 'Reads a backup that stays before any of a tenant is removed: the last good one is never removed.',
  },
})

function printBackup(io: Io, report: BackupReport, json: boolean): void {
  if (json) printJson(io, report)
  else io.stdout.write(`${report.name}\n${toned(io, io.stdout, 'dim', figures(report))}\n`)
}

function figures({ tenant, tables, rows, bytes, ms }: BackupReport): string {
  return `${tenant}: ${countText(rows)} rows of ${tables} tables, ${countText(bytes)} bytes, ${durationText(ms)}`
}

export const backupRoutes = buildRouteMap({
  routes: {
    create,
    list,
    verify,
    restore: restoreCommand,
    diff: diffCommand,
    export: exportCommand,
    drill,
    prune,
    run: runCommand,
  },
  docs: { brief: 'Backups of tenants: create, list, verify, restore, diff, export, drill, prune, run' },
})
