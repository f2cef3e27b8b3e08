import { buildCommand } from '@stricli/core'
import type { MergedTable, Model, RestoreReport, TableDiff } from 'rowhouse-server'
import { asTyped, type Context, command, type Io } from '../command.ts'
import { withControlPlane } from '../control-plane.ts'
import { FINDINGS, UsageError } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'
import { countText, durationText } from '../terminal.ts'
import { type BackupFlags, backupFlags, tableProgress, withBackups } from './backup-store.ts'

interface DiffFlags extends BackupFlags {
  readonly table?: readonly string[]
  readonly acceptPlatform?: string
}

interface RestoreFlags extends DiffFlags {
  readonly merge?: 'missing' | 'changed'
  readonly diff: boolean
  readonly as?: string
  readonly model?: Model
  readonly server?: string
}

const backupArgument = { parse: String, brief: 'Name of the backup', placeholder: 'backup' } as const

const diffFlags = {
  ...backupFlags,
  table: {
    kind: 'parsed',
    parse: String,
    optional: true,
    variadic: true,
    brief: 'Table to look at; may be repeated [default = all]',
    placeholder: 'name',
  },
  acceptPlatform: {
    kind: 'parsed',
    parse: String,
    optional: true,
    brief: 'Id of another platform the backup may be of, as the refusal names it',
    placeholder: 'id',
  },
} as const

export const diffCommand = buildCommand<DiffFlags, [string], Context>({
  func: command<DiffFlags, [string]>(showDiff),
  parameters: { flags: diffFlags, positional: { kind: 'tuple', parameters: [backupArgument] } },
  docs: {
    brief: "Compare a tenant's rows with a backup: missing, extra and changed, with keys",
    fullDescription: 'Writes nothing. Exit code 1: they differ.',
  },
})

export const restoreCommand = buildCommand<RestoreFlags, [string], Context>({
  func: command<RestoreFlags, [string]>(async (io, flags, name) => {
    const { diff, merge, as, model, server, table } = flags
    if ([diff, merge !== undefined, as !== undefined].filter(Boolean).length > 1)
      throw new UsageError('Cannot restore: --diff, --merge and --as exclude each other')
    if (as === undefined && (model !== undefined || server !== undefined))
      throw new UsageError('Cannot restore: --model and --server are for a new tenant; name it with --as')
    if (as !== undefined && table !== undefined)
      throw new UsageError('Cannot restore some tables as a new tenant: leave --table or --as out')
    if (diff) return showDiff(io, flags, name)
    if (as !== undefined) return restoreAs(io, flags, name, as)
    const options = optionsOf(flags)
    if (merge !== undefined) {
      const merged = await withBackups(io, flags, (backups) =>
        asTyped(() => backups.merge(name, undefined, { ...options, changed: merge === 'changed' })),
      )
      printMerged(io, merged, flags.json)
      return undefined
    }
    const onTable = tableProgress(io, flags.json)
    const report = await withBackups(io, flags, (backups) =>
      asTyped(() => backups.restore(name, undefined, { ...options, onTable })),
    )
    printRestored(io, report, flags.json)
    return undefined
  }),
  parameters: {
    flags: {
      ...diffFlags,
      merge: {
        kind: 'enum',
        values: ['missing', 'changed'],
        optional: true,
        brief: 'Bring back rows that are missing; "changed" gives changed rows their old values as well',
      },
      diff: { kind: 'boolean', default: false, withNegated: false, brief: 'Show what differs and write nothing' },
      as: { kind: 'parsed', parse: String, optional: true, brief: 'Make a new tenant of it', placeholder: 'slug' },
      model: {
        kind: 'enum',
        values: ['pooled', 'schema', 'database'],
        optional: true,
        brief: 'Model of the new tenant [default = as the rules say]',
      },
      server: {
        kind: 'parsed',
        parse: String,
        optional: true,
        brief: 'Server of the new tenant [default = as the rules say]',
        placeholder: 'name',
      },
    },
    positional: { kind: 'tuple', parameters: [backupArgument] },
  },
  docs: {
    brief: 'Put a backup back: in place, as a new tenant, some tables, or missing rows only',
    fullDescription: [
      "In place it replaces the tenant's rows, wherever the tenant lives now, in one transaction; the tenant's requests are told to try",
      'again until it ends. Everything is verified before anything is written, and read back before it is committed.',
    ].join('\n'),
  },
})

async function restoreAs(io: Io, flags: RestoreFlags, name: string, slug: string): Promise<undefined> {
  const { model, server } = flags
  const wish = { ...(model !== undefined && { model }), ...(server !== undefined && { server }) }
  const onTable = tableProgress(io, flags.json)
  const { tables: _, ...options } = optionsOf(flags)
  const report = await withBackups(io, flags, (backups) =>
    withControlPlane(io, flags, (plane) =>
      asTyped(() => backups.restoreAs(plane, name, { slug, wish }, { ...options, onTable })),
    ),
  )
  printRestored(io, report, flags.json)
  return undefined
}

async function showDiff(io: Io, flags: DiffFlags, name: string): Promise<number | undefined> {
  const found = await withBackups(io, flags, (backups) =>
    asTyped(() => backups.diff(name, undefined, optionsOf(flags))),
  )
  if (flags.json) printJson(io, found)
  else printDiff(io, found)
  return found.some(({ missing, extra, changed }) => missing + extra + changed > 0) ? FINDINGS : undefined
}

function optionsOf({ table, acceptPlatform }: DiffFlags) {
  return { ...(table !== undefined && { tables: table }), ...(acceptPlatform !== undefined && { acceptPlatform }) }
}

function printDiff(io: Io, found: readonly TableDiff[]): void {
  printRows(
    io,
    found.map(({ keys: _, ...counts }) => counts),
    ['table', 'same', 'missing', 'extra', 'changed'],
  )
  for (const { table, keys, ...counts } of found) {
    for (const kind of ['missing', 'extra', 'changed'] as const) {
      for (const key of keys[kind]) io.stdout.write(`  ${kind} ${table} ${JSON.stringify(key)}\n`)
      const more = counts[kind] - keys[kind].length
      if (more > 0) io.stdout.write(`  ${kind} ${table} and ${countText(more)} more\n`)
    }
  }
}

function printMerged(io: Io, merged: readonly MergedTable[], json: boolean): void {
  if (json) printJson(io, merged)
  else
    printRows(
      io,
      merged.map((each) => ({ ...each })),
      ['table', 'inserted', 'updated'],
    )
}

function printRestored(io: Io, report: RestoreReport, json: boolean): void {
  if (json) {
    printJson(io, report)
    return
  }
  const { rows, tables, tenant, ms, filled } = report
  io.stdout.write(`Restored ${countText(rows)} rows of ${tables} tables of ${tenant} in ${durationText(ms)}\n`)
  if (filled.length > 0) io.stdout.write(`New since the backup, filled with their default: ${filled.join(', ')}\n`)
}
