import { buildCommand } from '@stricli/core'
import { install } from 'rowhouse/install'
import { type AdminFlags, adminUrlFileFlag, type Context, command, jsonFlag } from '../command.ts'
import { printJson } from '../print.ts'
import { adminSettings, readSetting } from '../settings.ts'

interface Flags extends AdminFlags {
  readonly dryRun: boolean
}

export const installCommand = buildCommand<Flags, [], Context>({
  func: command<Flags, []>(async (io, flags) => {
    const { dryRun, json } = flags
    const appPassword = readSetting(io.env, 'ROWHOUSE_APP_PASSWORD')
    const { version, applied } = await install({
      ...adminSettings(io.env, flags),
      dryRun,
      ...(appPassword ? { appPassword } : {}),
    })
    if (json)
      return printJson(io, {
        version,
        dryRun,
        applied: applied.map(({ name, text }) => (dryRun ? { name, text } : { name })),
      })
    if (dryRun) {
      for (const { name, text } of applied) io.stdout.write(`-- ${name}\n${text}\n`)
      io.stderr.write(applied.length === 0 ? 'Nothing would change\n' : `${applied.length} files would be applied\n`)
      return
    }
    io.stderr.write(
      applied.length === 0
        ? `Rowhouse is up to date (schema ${version})\n`
        : `Rowhouse is installed (schema ${version})\n`,
    )
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      dryRun: { kind: 'boolean', default: false, withNegated: false, brief: 'Print the SQL and change nothing' },
    },
  },
  docs: {
    brief: 'Install Rowhouse into a database, or bring it up to date',
    fullDescription:
      'Reads ROWHOUSE_ADMIN_URL, ROWHOUSE_ROOT_KEY and, to let rowhouse_app log in, ROWHOUSE_APP_PASSWORD; each may be given as a file with _FILE. Needs a superuser, or CREATEROLE and ownership of the database.',
  },
})
