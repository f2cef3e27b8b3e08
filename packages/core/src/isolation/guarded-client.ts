import pg from 'pg'
import { ConfigError, IsolationError } from '../errors.ts'
import { type ClientInternals, type QueryCallback, type WireConnection, WireQuery } from '../postgres/pg-internals.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import type { ContextStatements, PreparedStatement } from './context-statement.ts'
import {
  BOOT_COLUMNS,
  type BootFacts,
  DIRECT,
  isDirect,
  looksDirect,
  NamingQuery,
  newMark,
  POOLED,
  POOLED_UNNAMED,
  type PoolerMemory,
  PrepareQuery,
  type StatementNaming,
  type WireMode,
} from './pooler-probe.ts'

/**
 * What is asked of every new connection before it may serve: can this login bypass row-level security, own a table,
 * or become somebody who can? A membership granted while the process runs is noticed with the next connection.
 */
const LOGIN_CHECK = `
  select current_user::text as login,
    exists (select from pg_catalog.pg_roles r
             where (r.rolsuper or r.rolbypassrls) and pg_catalog.pg_has_role(current_user, r.oid, 'member')) as bypasses,
    pg_catalog.pg_has_role(current_user, 'rowhouse_owner', 'member') as owns,
    extract(epoch from clock_timestamp())::float8 as "nowS",
    ${BOOT_COLUMNS}`

interface LoginFacts extends Omit<BootFacts, 'announcedPid'> {
  readonly login: string
  readonly bypasses: boolean
  readonly owns: boolean
  readonly nowS: number
}

/** A seal lives 15 minutes and is renewed at half; a clock further apart than this would refuse fresh seals. */
const MAX_CLOCK_SKEW_S = 300

/** Prepares the context statements and checks the login in the same round trip. */
class BootQuery extends WireQuery {
  readonly #prepared: readonly PreparedStatement[]

  constructor(columns: string, prepared: readonly PreparedStatement[], callback: QueryCallback) {
    super({ text: LOGIN_CHECK + columns, queryMode: 'extended' }, [], callback)
    this.#prepared = prepared
  }

  override prepare(connection: WireConnection): void {
    for (const statement of this.#prepared) connection.parse(statement)
    super.prepare(connection)
  }
}

/** What some servers are asked besides the login, in the same round trip. */
export interface ServerCheck {
  /** Columns, separated by commas. */
  readonly columns: string
  /** Throws when this is not the server it should be. */
  readonly assert: (facts: Readonly<Record<string, unknown>>) => void
}

export interface GuardedClientConfig extends pg.ClientConfig {
  readonly preparedStatements: StatementNaming
  /** Settings a session starts with, as the startup option `options`. */
  readonly startupOptions: string
  readonly pooler: PoolerMemory
  readonly contextsOf: (mode: WireMode) => ContextStatements
  readonly serverCheck?: ServerCheck | undefined
  /** Waits for leave to open a connection; what it returns is called when the connection is closed. */
  readonly takePlace: () => Promise<() => void>
}

/**
 * A connection that refuses to serve when its login could step over the walls, and knows how statements travel on it.
 *
 * PostgreSQL itself answers the login check with the process announced at the start and with the mark of the startup
 * packet: one round trip. Everybody else is asked what a name means there, in a second one.
 */
export class GuardedClient extends pg.Client {
  readonly #config: GuardedClientConfig
  readonly #mark: string | undefined
  #mode: WireMode = POOLED_UNNAMED
  /** When it was connected, in `performance.now()` milliseconds. */
  openedMs = 0

  constructor(config: GuardedClientConfig) {
    const sendsOptions = config.preparedStatements !== false && config.pooler.sendsOptions
    const { mark, option } = newMark()
    super(sendsOptions ? { ...config, options: `${config.startupOptions} ${option}` } : config)
    this.#config = config
    this.#mark = sendsOptions ? mark : undefined
    // A lost connection fails each statement in flight; without a listener the event would also end the process.
    this.on('error', () => {})
  }

  /** How statements travel here. Known once connected. */
  get mode(): WireMode {
    return this.#mode === POOLED && this.#config.pooler.losesNames ? POOLED_UNNAMED : this.#mode
  }

  /** The context for this connection's way to travel. */
  get contexts(): ContextStatements {
    return this.#config.contextsOf(this.mode)
  }

  override connect(): Promise<this>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<this> | undefined {
    const connected = this.#open().then(() => this.#boot())
    connected.catch((error) => this.#config.pooler.learn(error))
    if (callback === undefined) return connected.then(() => this)
    // pg types the argument as always present; pg-pool tests it for truth.
    connected.then(() => callback(undefined as unknown as Error), callback)
    return undefined
  }

  async #open(): Promise<void> {
    const leave = await this.#config.takePlace()
    this.once('end', leave)
    try {
      await super.connect()
      this.openedMs = performance.now()
    } catch (error) {
      // A connection that never stood may end without saying so.
      leave()
      throw error
    }
  }

  async #boot(): Promise<void> {
    try {
      const announcedPid = (this as unknown as ClientInternals).processID
      const early = this.#preparesEarly(announcedPid)
      const facts = await this.#askLogin(early ? this.#config.contextsOf(early).prepared : [])
      assertHarmless(facts)
      this.#config.serverCheck?.assert({ ...facts })
      const boot = { announcedPid, pid: facts.pid, mark: facts.mark }
      this.#config.pooler.observe(boot)
      this.#mode = await this.#findMode(boot)
      if (this.#mode.named && this.#mode !== early) await this.#prepare(this.contexts.prepared)
    } catch (error) {
      this.end().catch(() => {})
      throw error
    }
  }

  /** The way whose statements are worth preparing with the first question; undefined when names may be shared. */
  #preparesEarly(announcedPid: number | null): WireMode | undefined {
    const { preparedStatements, pooler } = this.#config
    if (preparedStatements !== 'probe') return preparedStatements ? this.#forcedMode() : undefined
    return this.#mark !== undefined && pooler.namesAtBoot && looksDirect(announcedPid) ? DIRECT : undefined
  }

  #forcedMode(): WireMode {
    return this.#mark === undefined ? POOLED : DIRECT
  }

  async #findMode(facts: BootFacts): Promise<WireMode> {
    const { preparedStatements } = this.#config
    if (preparedStatements === false) return POOLED_UNNAMED
    // Options can be swallowed without a word: a setting that did not arrive has to be set each time.
    if (preparedStatements === true) return facts.mark === this.#mark && facts.mark !== null ? DIRECT : POOLED
    if (isDirect(facts, this.#mark)) return DIRECT
    if (this.#config.pooler.losesNames || !(await this.#areNamesKeptApart())) return POOLED_UNNAMED
    this.#config.pooler.trustNames()
    return POOLED
  }

  #areNamesKeptApart(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const query = new NamingQuery((error, renamed) => (error === undefined ? resolve(renamed) : reject(error)))
      super.query(query as unknown as pg.Submittable)
    })
  }

  #prepare(statements: readonly PreparedStatement[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const query = new PrepareQuery(statements, (error) => (error ? reject(error) : resolve()))
      super.query(query as unknown as pg.Submittable)
    })
  }

  #askLogin(prepared: readonly PreparedStatement[]): Promise<LoginFacts> {
    return new Promise((resolve, reject) => {
      const { serverCheck } = this.#config
      const columns = serverCheck === undefined ? '' : `, ${serverCheck.columns}`
      const query = new BootQuery(columns, prepared, (error, result) => {
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
