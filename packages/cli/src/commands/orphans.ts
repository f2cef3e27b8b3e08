import { buildCommand } from '@stricli/core'
import { type AdminFlags, adminUrlFileFlag, type Context, command, jsonFlag } from '../command.ts'
import { withRegistry } from '../control-plane.ts'
import { FINDINGS } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'

interface OrphansFlags extends AdminFlags {
  readonly remove: boolean
}

const COLUMNS = ['server', 'database', 'kind', 'name', 'what', 'mend']

export const orphansCommand = buildCommand<OrphansFlags, [], Context>({
  func: command<OrphansFlags, []>(async (io, flags) => {
    const { removed, orphans } = await withRegistry(io, flags, async (registry) => ({
      removed: flags.remove ? await registry.removeOrphans() : [],
      orphans: await registry.findOrphans(),
    }))
    if (flags.json) printJson(io, flags.remove ? { removed, orphans } : orphans)
    else {
      for (const { kind, name, server } of removed) io.stderr.write(`Removed from ${server}: ${kind} ${name}\n`)
      if (orphans.length === 0) io.stderr.write('Registry and servers agree\n')
      else
        printRows(
          io,
          orphans.map((orphan) => ({ ...orphan })),
          COLUMNS,
        )
    }
    return orphans.length > 0 ? FINDINGS : undefined
  }),
  parameters: {
    flags: {
      json: jsonFlag,
      adminUrlFile: adminUrlFileFlag,
      remove: {
        kind: 'boolean',
        default: false,
        withNegated: false,
        brief: 'Remove triggers, captured keys, freezes, fences and marks of moves that are over',
      },
    },
  },
  docs: {
    brief: 'Compare the registry with what is on the servers',
    fullDescription:
      'Prints schemas, databases, roles and keys that belong to no tenant, placements whose schema, database or key is gone, and what moves left behind, each with what mends it. Changes nothing without --remove, and never what holds rows of tenants. Servers that are down are not visited. Exit code 1: something was found, and is still there.',
  },
})
