import pg from 'pg'
import { ConfigError, IsolationError } from '../errors.ts'
import { type QueryCallback, type WireConnection, WireQuery } from '../postgres/pg-internals.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import { PREPARED_STATEMENTS } from './context-statement.ts'

/**
 * What is asked of every new connection before it may serve: can this login bypass row-level security, own a table,
 * or become somebody who can? A membership granted while the process runs is noticed with the next connection.
 */
const LOGIN_CHECK = `
  select current_user::text as login,
    exists (select from pg_catalog.pg_roles r
             where (r.rolsuper or r.rolbypassrls) and pg_catalog.pg_has_role(current_user, r.oid, 'member')) as bypasses,
    pg_catalog.pg_has_role(current_user, 'rowhouse_owner', 'member') as owns,
    extract(epoch from clock_timestamp())::float8 as "nowS"`

interface LoginFacts {
  readonly login: string
  readonly bypasses: boolean
  readonly owns: boolean
  readonly nowS: number
}

/** A seal lives 15 minutes and is renewed at half; a clock further apart than this would refuse fresh seals. */
const MAX_CLOCK_SKEW_S = 300

/** Prepares the context statements and checks the login in the same round trip. */
class BootQuery extends WireQuery {
  readonly #prepare: boolean

  constructor(prepareStatements: boolean, callback: QueryCallback) {
    super({ text: LOGIN_CHECK, queryMode: 'extended' }, [], callback)
    this.#prepare = prepareStatements
  }

  override prepare(connection: WireConnection): void {
    if (this.#prepare) for (const statement of PREPARED_STATEMENTS) connection.parse(statement)
    super.prepare(connection)
  }
}

export interface GuardedClientConfig extends pg.ClientConfig {
  /** False behind a pooler that does not know prepared statements. */
  readonly preparedStatements: boolean
  /** Waits for leave to open a connection; what it returns is called when the connection is closed. */
  readonly takePlace: () => Promise<() => void>
}

/** A connection that refuses to serve when its login could step over the walls. */
export class GuardedClient extends pg.Client {
  readonly #preparedStatements: boolean
  readonly #takePlace: () => Promise<() => void>

  constructor(config: GuardedClientConfig) {
    super(config)
    this.#preparedStatements = config.preparedStatements
    this.#takePlace = config.takePlace
    // A lost connection fails each statement in flight; without a listener the event would also end the process.
    this.on('error', () => {})
  }

  override connect(): Promise<this>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<this> | undefined {
    const connected = this.#open().then(() => this.#boot())
    if (callback === undefined) return connected.then(() => this)
    // pg types the argument as always present; pg-pool tests it for truth.
    connected.then(() => callback(undefined as unknown as Error), callback)
    return undefined
  }

  async #open(): Promise<void> {
    const leave = await this.#takePlace()
    this.once('end', leave)
    try {
      await super.connect()
    } catch (error) {
      // A connection that never stood may end without saying so.
      leave()
      throw error
    }
  }

  async #boot(): Promise<void> {
    try {
      assertHarmless(await this.#askLogin())
    } catch (error) {
      this.end().catch(() => {})
      throw error
    }
  }

  #askLogin(): Promise<LoginFacts> {
    return new Promise((resolve, reject) => {
      const query = new BootQuery(this.#preparedStatements, (error, result) => {
        if (error) reject(explainBootFailure(error))
        else resolve(result?.rows[0] as LoginFacts)
      })
      super.query(query as unknown as pg.Submittable)
    })
  }
}

function assertHarmless({ login, bypasses, owns, nowS }: LoginFacts): void {
  if (bypasses || owns) {
    const how = bypasses ? 'is, or may become, a superuser or a role with BYPASSRLS' : 'may become "rowhouse_owner"'
    throw new IsolationError(
      'ERR_ISOLATION_ROLE_BYPASSES_RLS',
      `Cannot serve tenants as role "${login}": it ${how}; connect as "rowhouse_app" or as a login that is a member of it and of nothing else`,
    )
  }
  const skewS = Math.round(Math.abs(nowS - Date.now() / 1000))
  if (skewS > MAX_CLOCK_SKEW_S) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot seal contexts: this machine's clock and the database's are ${skewS} seconds apart, wanted at most ${MAX_CLOCK_SKEW_S}; set both by NTP`,
    )
  }
}

const NOT_INSTALLED: ReadonlySet<unknown> = new Set([
  SQLSTATE.undefinedSchema,
  SQLSTATE.undefinedFunction,
  SQLSTATE.undefinedTable,
  '42704',
])

function explainBootFailure(error: Error): Error {
  const { code } = error as { code?: string }
  if (code === SQLSTATE.insufficientPrivilege) {
    return new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot serve tenants with this login: it is not "rowhouse_app" and not a member of it; grant rowhouse_app to it',
      { cause: error },
    )
  }
  if (!NOT_INSTALLED.has(code)) return error
  return new ConfigError(
    'ERR_NOT_INSTALLED',
    'Cannot serve tenants from this database: Rowhouse is not installed in it; run "rowhouse install" first',
    { cause: error },
  )
}
