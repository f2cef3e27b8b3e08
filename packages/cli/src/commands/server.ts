import { buildCommand, buildRouteMap } from '@stricli/core'
import type { RegisteredServer, Registry, ServerToAdd } from 'rowhouse-server'
import {
  type AdminFlags,
  adminUrlFileFlag,
  asTyped,
  type Context,
  command,
  type Io,
  jsonFlag,
  wholeNumber,
} from '../command.ts'
import { type ConfigFlags, configFlags, withControlPlane, withRegistry } from '../control-plane.ts'
import { UsageError } from '../exit-code.ts'
import { printJson, printRows } from '../print.ts'

const COLUMNS = ['name', 'region', 'kind', 'state', 'tenants', 'capacity', 'pooled', 'schema', 'database', 'replicas']

interface AddFlags extends ConfigFlags {
  readonly region: string
  readonly kind?: 'postgres' | 'citus'
  readonly capacity?: number
  readonly appUrl: string
  readonly adminUrl: string
  readonly replica?: readonly string[]
}

const add = buildCommand<AddFlags, [string], Context>({
  func: command<AddFlags, [string]>(async (io, flags, name) => {
    const { region, kind, capacity, appUrl, adminUrl, replica = [], json } = flags
    requireReferences({ '--app-url': [appUrl], '--admin-url': [adminUrl], '--replica': replica })
    const server: ServerToAdd = {
      name,
      region,
      appUrl,
      adminUrl,
      replicaUrls: replica,
      ...(kind !== undefined && { kind }),
      ...(capacity !== undefined && { capacity }),
    }
    const added = await withControlPlane(io, flags, (plane) => asTyped(() => plane.servers.add(server)))
    printServers(io, [added], json)
  }),
  parameters: {
    flags: {
      ...configFlags,
      region: { kind: 'parsed', parse: String, brief: 'Where its data lies, e.g. eu-central', placeholder: 'region' },
      kind: {
        kind: 'enum',
        values: ['postgres', 'citus'],
        optional: true,
        brief: 'What it is [default = postgres]',
      },
      capacity: {
        kind: 'parsed',
        parse: wholeNumber(0, 10_000_000),
        optional: true,
        brief: 'Tenants it may hold [default = no limit]',
        placeholder: 'n',
      },
      appUrl: {
        kind: 'parsed',
        parse: String,
        brief: "Where processes find the application's URL: env:NAME or file:/path",
        placeholder: 'reference',
      },
      adminUrl: {
        kind: 'parsed',
        parse: String,
        brief: "Where this command finds the operator's URL: env:NAME or file:/path",
        placeholder: 'reference',
      },
      replica: {
        kind: 'parsed',
        parse: String,
        optional: true,
        variadic: true,
        brief: 'Where processes find the URL of a read replica; may be repeated',
        placeholder: 'reference',
      },
    },
    positional: {
      kind: 'tuple',
      parameters: [{ parse: String, brief: 'Lower-case letters, digits and hyphens', placeholder: 'name' }],
    },
  },
  docs: {
    brief: 'Add a server, or change capacity and references of one',
    fullDescription: [
      'Installs Rowhouse in its shared database, gives it the tables of the migrations, and enters it into the registry. URLs hold',
      'passwords: name the variable or file that holds them, and set it for this command as for every process of the application.',
    ].join('\n'),
  },
})

/** Refused before anything else, and without repeating it: a URL that stands in a command line is known to the whole machine. */
function requireReferences(given: Readonly<Record<string, readonly string[]>>): void {
  for (const [flag, references] of Object.entries(given))
    for (const reference of references)
      if (!/^(env:[A-Za-z_]\w*|file:\/.+)$/.test(reference))
        throw new UsageError(
          `Cannot take the URL for ${flag} from the command line: it holds a password, and command lines are kept in histories and seen by other users; wanted env:NAME or file:/path, which say where it is found`,
        )
}

const list = buildCommand<AdminFlags, [], Context>({
  func: command<AdminFlags, []>(async (io, flags) => {
    printServers(io, await withRegistry(io, flags, (registry) => registry.servers.list()), flags.json)
  }),
  parameters: { flags: { json: jsonFlag, adminUrlFile: adminUrlFileFlag } },
  docs: { brief: 'List servers: state, capacity, tenants in each model' },
})

function change(brief: string, work: (registry: Registry, name: string) => Promise<RegisteredServer>) {
  return buildCommand<AdminFlags, [string], Context>({
    func: command<AdminFlags, [string]>(async (io, flags, name) => {
      printServers(io, [await withRegistry(io, flags, (registry) => work(registry, name))], flags.json)
    }),
    parameters: {
      flags: { json: jsonFlag, adminUrlFile: adminUrlFileFlag },
      positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'Name of the server', placeholder: 'name' }] },
    },
    docs: { brief },
  })
}

function printServers(io: Io, servers: readonly RegisteredServer[], json: boolean): void {
  if (json) {
    printJson(io, servers)
    return
  }
  const rows = servers.map(({ tenantsByModel, capacity, replicaUrls, ...server }) => ({
    ...server,
    ...tenantsByModel,
    capacity: capacity ?? 'no limit',
    replicas: replicaUrls.length,
  }))
  printRows(io, rows, COLUMNS)
}

export const serverRoutes = buildRouteMap({
  routes: {
    add,
    list,
    drain: change('Let no new tenant onto a server; those on it stay', ({ servers }, name) => servers.drain(name)),
    activate: change('Let new tenants onto a server again', ({ servers }, name) => servers.activate(name)),
  },
  docs: { brief: 'Servers tenants live on: add, list, drain, activate' },
})
