import { buildCommand } from '@stricli/core'
import { protect } from 'rowhouse/install'
import { type AdminFlags, adminUrlFileFlag, type Context, command, jsonFlag } from '../command.ts'
import { printJson } from '../print.ts'
import { adminSettings } from '../settings.ts'

interface Flags extends AdminFlags {
  readonly dryRun: boolean
  readonly unitScope: boolean
}

export const protectCommand = buildCommand<Flags, string[], Context>({
  func: command<Flags, string[]>(async (io, flags, ...names) => {
    const { dryRun, unitScope, json } = flags
    const { url } = adminSettings(io.env, flags)
    const plans = await protect({ url, dryRun, tables: names.map((name) => ({ name, unitScope })) })
    if (json) return printJson(io, { dryRun, tables: plans })
    for (const { table, changes, warnings, faults } of plans) {
      if (dryRun) for (const { statement } of changes) io.stdout.write(`${statement}\n`)
      for (const { message, mend } of faults) io.stderr.write(`fault: ${message}\n${mend ? `  ${mend}\n` : ''}`)
      for (const { message, mend } of warnings) io.stderr.write(`warning: ${message}\n${mend ? `  ${mend}\n` : ''}`)
      const done = dryRun ? 'would be made' : 'made'
      io.stderr.write(
        faults.length > 0 ? `${table}: cannot be protected yet\n` : `${table}: ${changes.length} changes ${done}\n`,
      )
    }
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      dryRun: { kind: 'boolean', default: false, withNegated: false, brief: 'Print the SQL and change nothing' },
      unitScope: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Limit rows to the units of the context, by unit_id',
      },
    },
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: { parse: String, brief: 'Table, with its schema where it is not public', placeholder: 'table' },
    },
  },
  docs: {
    brief: 'Make tables tenant tables: policies, grants, owner',
    fullDescription:
      'Says everything that stands in the way at once, each with the SQL that mends it. Reads ROWHOUSE_ADMIN_URL.',
  },
})
