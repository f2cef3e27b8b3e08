import { buildCommand } from '@stricli/core'
import { type AdminFlags, adminUrlFileFlag, type Context, command, jsonFlag } from '../command.ts'
import { withRegistry } from '../control-plane.ts'
import { FINDINGS } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'

export const orphansCommand = buildCommand<AdminFlags, [], Context>({
  func: command<AdminFlags, []>(async (io, flags) => {
    const orphans = await withRegistry(io, flags, (registry) => registry.findOrphans())
    if (flags.json) printJson(io, orphans)
    else if (orphans.length === 0) io.stderr.write('Registry and servers agree\n')
    else
      printRows(
        io,
        orphans.map((orphan) => ({ ...orphan })),
        ['server', 'kind', 'name', 'what'],
      )
    return orphans.length > 0 ? FINDINGS : undefined
  }),
  parameters: { flags: { json: jsonFlag, adminUrlFile: adminUrlFileFlag } },
  docs: {
    brief: 'Compare the registry with what is on the servers',
    fullDescription:
      'Prints schemas, databases and keys that belong to no tenant, and placements whose schema, database or key is gone. Changes nothing. Servers that are down are not visited. Exit code 1: something was found.',
  },
})
