import { AsyncLocalStorage } from 'node:async_hooks'
import type { Socket } from 'node:net'
import pg from 'pg'
import { ConfigError, UnavailableError } from 'rowhouse'
import { readConnectionUrl, urlOfDatabase } from 'rowhouse/install'

/** A database tenants live in. */
export interface DatabaseAddress {
  /** Name in the registry of servers. */
  readonly server: string
  /** Undefined for the one the server's URL names: the shared one. */
  readonly database: string | undefined
}

/** Where a tenant's tables are: a database, and in it the tenant's own schema or the application's. */
export interface HomeAddress extends DatabaseAddress {
  readonly schema: string | undefined
}

/** The database of the registry. */
export const CENTRAL = { server: 'main', database: undefined } as const

/** How many connections of the operator one database is given at most. */
const PER_DATABASE = 16
const CONNECT_TIMEOUT_MS = 10_000
/** Thousands of databases are visited one after the other; each connection is closed soon after the visit. */
const IDLE_CLOSE_MS = 1_000
/** A peer that is silent for so long is asked whether it is there, ten times in as many seconds. */
const KEEP_ALIVE_MS = 10_000

const PLATFORM_ID = `
  select left(encode(sha256(convert_to(system_identifier || ' ' || current_database(), 'UTF8')), 'hex'), 8) as id from pg_control_system()`

/**
 * Connections of the operator to the central database and to every database of every server.
 *
 * URLs come from the registry as references (`env:NAME`, `file:/path`) and are read when they are needed, so that a
 * rotated password is found without a restart.
 */
export class OperatorConnections {
  readonly central: pg.Pool
  readonly #centralUrl: string
  readonly #pools = new Map<string, pg.Pool>()
  #platformId: Promise<string> | undefined
  /** Of the work that is done right now: what it opens is closed when the time is over, however deep it was opened. */
  readonly #deadline = new AsyncLocalStorage<Deadline>()

  constructor(centralUrl: string) {
    this.#centralUrl = centralUrl
    this.central = openPool(centralUrl)
  }

  /**
   * Hands a connection to a database to `fn` and takes it back.
   *
   * @throws {ConfigError} `ERR_CONFIG_INVALID` when the server is unknown, its URL is not set, or the login is refused
   * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
   */
  async use<T>(address: DatabaseAddress, fn: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const signal = this.#deadline.getStore()?.signal
    const client = await connectBefore(await this.#poolOf(address), address, signal)
    // A network that swallows what is sent answers neither a query nor a cancellation.
    const hangUp = () => (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy()
    signal?.addEventListener('abort', hangUp)
    let broken = true
    // A connection that is lost fails the statement that runs on it; reported to nobody else, it would end the process.
    const ignore = () => {}
    client.on('error', ignore)
    try {
      const result = await fn(client)
      broken = false
      return result
    } finally {
      signal?.removeEventListener('abort', hangUp)
      // One that is closed may report its end later.
      if (!broken) client.off('error', ignore)
      // After an error nobody knows what state the session is in.
      client.release(broken)
    }
  }

  /** Runs `fn` in one transaction as `rowhouse_owner`. */
  transact<T>(address: DatabaseAddress, fn: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.use(address, async (client) => {
      await client.query(`begin; ${this.idleLimit()}`)
      try {
        await client.query('set local role rowhouse_owner')
        const result = await fn(client)
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback').catch(() => {})
        throw error
      }
    })
  }

  /**
   * Runs `work`, and hangs up whatever connection it has when the time is over. Its transactions are undone: here at once,
   * and by a server that cannot be reached when it has waited as long for the next statement.
   *
   * @param late  makes the error of work that was cut short
   */
  async within<T>(ms: number, late: (cause: unknown) => Error, work: () => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(), ms)
    try {
      return await this.#deadline.run({ signal: controller.signal, ms }, work)
    } catch (error) {
      throw controller.signal.aborted ? late(error) : error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Statement for a transaction that is begun by hand within a deadline; nothing outside of one. */
  idleLimit(): string {
    const ms = this.#deadline.getStore()?.ms
    return ms === undefined ? '' : `set local idle_in_transaction_session_timeout = ${ms}`
  }

  /**
   * Tells the platforms that share a server apart: eight hexadecimal digits that stand for the central database. Databases
   * belong to the whole server, so their names or comments carry it.
   */
  platformId(): Promise<string> {
    this.#platformId ??= this.central.query<{ id: string }>(PLATFORM_ID).then(
      ({ rows }) => rows[0]?.id ?? '',
      (error) => {
        this.#platformId = undefined
        throw error
      },
    )
    return this.#platformId
  }

  /** The operator's URL of a database, for what needs a connection of its own kind. A secret. */
  async urlOf({ server, database }: DatabaseAddress): Promise<string> {
    const url = server === 'main' ? this.#centralUrl : await this.#serverUrl(server)
    return database === undefined ? url : urlOfDatabase(url, database)
  }

  /** Closes what is open to a database, so that it can be copied or dropped. */
  async disconnect(address: DatabaseAddress): Promise<void> {
    const key = keyOf(address)
    const pool = this.#pools.get(key)
    this.#pools.delete(key)
    await pool?.end()
  }

  async close(): Promise<void> {
    const pools = [this.central, ...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map((pool) => pool.end()))
  }

  async #poolOf(address: DatabaseAddress): Promise<pg.Pool> {
    if (address.server === 'main' && address.database === undefined) return this.central
    const key = keyOf(address)
    const url = await this.urlOf(address)
    const known = this.#pools.get(key)
    if (known !== undefined && known.options.connectionString === url) return known
    const pool = openPool(url)
    this.#pools.set(key, pool)
    return pool
  }

  async #serverUrl(server: string): Promise<string> {
    const text = 'select admin_url from rowhouse.server where name = $1'
    const { rows } = await this.central.query<{ admin_url: string | null }>(text, [server])
    if (rows[0] === undefined) {
      throw new ConfigError(
        'ERR_CONFIG_INVALID',
        `Cannot reach server "${server}": the registry knows none of this name`,
      )
    }
    return readConnectionUrl(rows[0].admin_url ?? '', `server "${server}" as operator`)
  }
}

interface Deadline {
  readonly signal: AbortSignal
  readonly ms: number
}

/** Connects, unless the time is over before: then whatever arrives later goes back. */
async function connectBefore(
  pool: pg.Pool,
  address: DatabaseAddress,
  signal: AbortSignal | undefined,
): Promise<pg.PoolClient> {
  const connecting = pool.connect().catch((error: Error) => {
    throw toConnectError(error, address)
  })
  if (signal === undefined) return connecting
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(toConnectError(new Error('there was no answer in time'), address))
    if (signal.aborted) fail()
    signal.addEventListener('abort', fail, { once: true })
  })
  return Promise.race([connecting, late]).catch((error) => {
    connecting.then((client) => client.release(true)).catch(() => {})
    throw error
  })
}

function keyOf({ server, database }: DatabaseAddress): string {
  return `${server}/${database ?? ''}`
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max: PER_DATABASE,
    idleTimeoutMillis: IDLE_CLOSE_MS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    application_name: 'rowhouse-server',
  })
  // A connection lost while idle is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {})
  return pool
}

function toConnectError(error: Error, address: DatabaseAddress): Error {
  const { code } = error as { code?: unknown }
  const where = `server "${address.server}"${address.database === undefined ? '' : `, database "${address.database}"`}`
  if (typeof code === 'string' && /^28|^3D000$/.test(code)) {
    return new ConfigError('ERR_CONFIG_INVALID', `Cannot log in to ${where} as operator: ${error.message}`, {
      cause: error,
    })
  }
  return new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach ${where}: ${error.message}`, { cause: error })
}
