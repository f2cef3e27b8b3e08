import { ConfigError } from 'rowhouse'
import type {
  ControlPlane,
  ControlPlaneOptions,
  FleetOrder,
  LoadedConfig,
  OperatorConnections,
  Registry,
  readMigrations,
} from 'rowhouse-server'
import { type AdminFlags, adminUrlFileFlag, type Io, jsonFlag } from './command.ts'
import { adminSettings } from './settings.ts'

export interface ConfigFlags extends AdminFlags {
  readonly config?: string
}

/** Flags of every command that needs the project's configuration. */
export const configFlags = {
  json: jsonFlag,
  adminUrlFile: adminUrlFileFlag,
  config: {
    kind: 'parsed',
    parse: String,
    optional: true,
    placeholder: 'file',
    brief: 'Configuration of the project [default = rowhouse.config.mjs, .js or .json in this folder]',
  },
} as const

/** Of commands that are written down with who gave them. */
export const operatorFlag = {
  kind: 'parsed',
  parse: String,
  optional: true,
  brief: 'Who does it, for the record [default = login and host]',
  placeholder: 'name',
} as const

/** The control plane loads a workflow engine and a parser of SQL: only commands that need them wait for it. */
export function loadServer(): Promise<typeof import('rowhouse-server')> {
  return import('rowhouse-server')
}

/**
 * Reads the configuration of the project. It is wanted, also where a command uses nothing of it: runs that died are
 * continued by whoever opens the control plane, and without the platform's steps a tenant would be opened half made.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID`
 */
export async function readConfig(io: Io, flags: ConfigFlags): Promise<LoadedConfig> {
  const { findConfig } = await loadServer()
  const folder = io.cwd ?? process.cwd()
  const config = await findConfig(folder, flags.config)
  if (config !== undefined) return config
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot find the configuration of the project: there is no rowhouse.config.mjs, .js or .json in "${folder}"; name it with --config, or make one that exports { migrations, rules, steps }`,
  )
}

/** Opens the control plane with the project's configuration, hands it to `work` and closes it. */
export async function withControlPlane<T>(
  io: Io,
  flags: ConfigFlags,
  work: (plane: ControlPlane, config: LoadedConfig) => Promise<T>,
  more: Partial<ControlPlaneOptions> = {},
): Promise<T> {
  const config = await readConfig(io, flags)
  const { openControlPlane } = await loadServer()
  const { migrations, rules, steps, exportTenant } = config
  const plane = await openControlPlane({
    ...adminSettings(io.env, flags),
    ...(migrations !== undefined && { migrations }),
    ...(rules !== undefined && { rules }),
    ...(steps !== undefined && { steps }),
    ...(exportTenant !== undefined && { exportTenant }),
    log: logTo(io, flags.json),
    ...more,
  })
  try {
    return await work(plane, config)
  } finally {
    await plane.close()
  }
}

/** Opens the registry alone, hands it to `work` and closes it. */
export async function withRegistry<T>(io: Io, flags: AdminFlags, work: (registry: Registry) => Promise<T>): Promise<T> {
  const { openRegistry } = await loadServer()
  const registry = await openRegistry(adminSettings(io.env, flags))
  try {
    return await work(registry)
  } finally {
    await registry.close()
  }
}

/** What commands of the fleet work with. */
export interface Fleet {
  readonly connections: OperatorConnections
  readonly migrations: Awaited<ReturnType<typeof readMigrations>>
  /** The order the configuration wants; empty where it says none. */
  readonly waves: Pick<FleetOrder, 'waves'>
}

/** Opens connections to every server and reads the migrations of the project. The journal stays closed. */
export async function withFleet<T>(io: Io, flags: ConfigFlags, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  const { file, migrations: folder, waves } = await readConfig(io, flags)
  if (folder === undefined)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot migrate the fleet: the configuration "${file}" names no folder of migrations; add the field "migrations"`,
    )
  const { OperatorConnections, openRegistry, readMigrations } = await loadServer()
  const migrations = await readMigrations(folder)
  const settings = adminSettings(io.env, flags)
  // Asks a row of the central database: what is wrong with its URL is said before anything begins.
  await (await openRegistry(settings)).close()
  const connections = new OperatorConnections(settings.url as string)
  try {
    return await work({ connections, migrations, waves: waves === undefined ? {} : { waves } })
  } finally {
    await connections.close()
  }
}

/** What the control plane and the steps of a platform have to say to an operator: warnings and errors. */
function logTo(io: Io, json: boolean): NonNullable<ControlPlaneOptions['log']> {
  const write = (level: 'warn' | 'error') => (details: object, message: string) => {
    const { err, ...rest } = details as { err?: unknown }
    const error = err instanceof Error ? err.message : undefined
    if (json) io.stderr.write(`${JSON.stringify({ level, message, ...rest, ...(error !== undefined && { error }) })}\n`)
    else io.stderr.write(`${message}${error === undefined ? '' : `: ${error}`}\n`)
  }
  const warn = write('warn')
  return {
    debug() {},
    info() {},
    // What the journal says of attempts is said again by the step that fails.
    warn: (details, message) => ('part' in details ? undefined : warn(details, message)),
    error: write('error'),
  }
}
