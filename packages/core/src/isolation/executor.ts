import type { PoolClient, QueryResult } from 'pg'
import type { ReadsFrom, TenantContext } from '../context/tenant-context.ts'
import { StatementError, UnavailableError } from '../errors.ts'
import { isContextMissing } from '../postgres/database-error.ts'
import type { ClientInternals } from '../postgres/pg-internals.ts'
import type { Sealer } from '../seal/seal.ts'
import { cancelRunning } from './cancel.ts'
import { type ConnectionBudget, type Holder, MIN_SLICE_MS } from './connection-budget.ts'
import { ContextStatements } from './context-statement.ts'
import type { ServerCheck } from './guarded-client.ts'
import { Lanes } from './lanes.ts'
import { PoolerMemory, type StatementNaming, type WireMode } from './pooler-probe.ts'
import { ReplicaContextStatements } from './replica-context.ts'
import type { Follow, ScopedClient, ScopedClientConfig } from './scoped-client.ts'
import { type PoolRoute, ScopedPool } from './scoped-pool.ts'
import type { Statement, StatementCost } from './scoped-query.ts'
import type { ServerVariant } from './server-variant.ts'
import { StatementNames } from './statement-names.ts'
import { Tracing } from './tracing.ts'
import { type IsolationAlarm, Tripwire, type TripwireMode } from './tripwire.ts'

/** How one database is reached and how much work it is given. All limits have defaults in `createRowhouse`. */
export interface ExecutorConfig {
  readonly url: string
  readonly ssl: boolean | object | undefined
  readonly searchPath: string
  readonly statementTimeoutMs: number
  readonly lockTimeoutMs: number
  readonly idleInTransactionTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly preparedStatements: StatementNaming
  readonly lanes: number
  readonly poolSize: number
  readonly maxWaiting: number
  readonly maxWaitingPerTenant: number
  readonly waitTimeoutMs: number
  /** Statements and checkouts of one tenant at work at once, by its plan. */
  readonly maxRunningOf: ((plan: string) => number | undefined) | undefined
  readonly applicationName: string
  readonly tripwire: TripwireMode
  readonly honeyTokens: readonly string[]
  /** Must not throw. */
  readonly onAlarm: (alarm: IsolationAlarm) => void
  /** True for the central database: the way to the registry is kept open. */
  readonly keepsLane: boolean
  readonly record: (context: TenantContext, error: Error | undefined, cost: StatementCost) => void
  readonly recordWait: (context: TenantContext, waitedMs: number) => void
  /** Where the public pool sends work of tenants that live elsewhere. */
  readonly route?: PoolRoute
  /** Where checked-out connections of tenants that moved go on; makes no sense of replicas. */
  readonly follow?: (from: Executor) => Follow
  /** For replicas: what their connections are checked for, and the cluster they have to be of. */
  readonly replica?: { readonly check: ServerCheck; readonly system: string }
  /** What differs on a kind of server that is more than PostgreSQL. */
  readonly variant?: ServerVariant | undefined
}

export interface RunOptions {
  /** Aborting it cancels the statement in the database. */
  readonly signal?: AbortSignal | undefined
  /** Where it may go if it is a read; what the context says otherwise. */
  readonly reads?: ReadsFrom | undefined
}

/** How long the server gets, beyond statement_timeout, before a connection that says nothing is cut. */
const STALL_GRACE_MS = 5_000

/** Tenants with a database of their own are many and rest most of the time. */
const IDLE_CLOSE_MS = 10_000

/** Runs statements as tenants in one database: short ones on shared lanes, all others on a pooled connection. */
export class Executor implements Holder {
  readonly pool: ScopedPool
  readonly #config: ExecutorConfig
  readonly #lanes: Lanes
  readonly #sealer: Sealer
  readonly #budget: ConnectionBudget
  readonly #tracing = new Tracing()
  readonly #pooler = new PoolerMemory()
  /** Connections open or being opened. */
  #places = 0

  constructor(config: ExecutorConfig, sealer: Sealer, budget: ConnectionBudget) {
    this.#config = config
    this.#sealer = sealer
    this.#budget = budget
    const connection = this.#connectionConfig()
    const gate = {
      maxWaiting: config.maxWaiting,
      maxWaitingPerTenant: config.maxWaitingPerTenant,
      waitTimeoutMs: config.waitTimeoutMs,
      maxRunningOf: config.maxRunningOf,
    }
    this.#lanes = new Lanes({
      ...connection,
      lanes: config.lanes,
      carriesRegistry: config.keepsLane,
      gate,
      statementTimeoutMs: config.statementTimeoutMs,
      idleCloseMs: config.keepsLane ? Number.POSITIVE_INFINITY : IDLE_CLOSE_MS,
      isShort: () => !config.keepsLane && budget.isShort,
    })
    this.pool = new ScopedPool({
      ...connection,
      max: config.poolSize,
      gate,
      recordWait: this.#config.recordWait,
      ...(config.route === undefined ? {} : { route: config.route }),
    })
  }

  /** Runs one statement as `context`. */
  run(context: TenantContext, statement: Statement, options: RunOptions = {}): Promise<QueryResult> {
    this.#budget.touch(this)
    return this.#attempt(context, statement, options).catch((error) => {
      // It failed before it ran, and goes without a name now.
      if (this.#pooler.lostName(error)) return this.#attempt(context, statement, options)
      // A read whose function left work to a deferred trigger, which came too late: a pooled connection waits for those.
      if (!isContextMissing(error) || statement.kind !== 'read') throw error
      return this.#runPooled(context, statement, options.signal)
    })
  }

  /** Checks a connection out for several statements of `context`. */
  checkOut(context: TenantContext, signal?: AbortSignal): Promise<ScopedClient & PoolClient> {
    this.#budget.touch(this)
    return this.pool.checkOut(context, signal)
  }

  /** True when it holds no connection and nobody waits for one: it can be made anew at any time. */
  get isIdle(): boolean {
    return this.#places === 0 && this.#lanes.inFlight === 0 && this.pool.waitingCount === 0
  }

  dropIdle(): boolean {
    return this.pool.dropIdle() || (!this.#config.keepsLane && this.#lanes.dropIdle())
  }

  yieldOldest(): boolean {
    return !this.#config.keepsLane && this.#lanes.retire(MIN_SLICE_MS)
  }

  async close(): Promise<void> {
    this.#budget.forget(this)
    await Promise.all([this.#lanes.close(), this.pool.ended ? undefined : this.pool.end()])
  }

  #attempt(context: TenantContext, statement: Statement, { signal }: RunOptions): Promise<QueryResult> {
    const finish = this.#tracing.start(context, statement)
    const record = (error: Error | undefined, cost: StatementCost) => {
      this.#record(context, error, cost)
      finish?.(error, cost)
    }
    if (signal === undefined && this.#lanes.takes(statement, context)) {
      return this.#lanes.run(context, statement, (error, _result, cost) => record(error, cost))
    }
    return this.#runPooled(context, statement, signal).then(
      (result) => {
        finish?.(undefined, undefined)
        return result
      },
      (error) => {
        finish?.(error, undefined)
        throw error
      },
    )
  }

  #record(context: TenantContext, error: Error | undefined, cost: StatementCost): void {
    if (error !== undefined) this.#pooler.lostName(error)
    this.#config.record(context, error, cost)
  }

  async #runPooled(
    context: TenantContext,
    statement: Statement,
    signal: AbortSignal | undefined,
  ): Promise<QueryResult> {
    if (signal?.aborted) throw cancelled(context, signal.reason)
    const client = await this.pool.checkOut(context, signal).catch((error) => {
      throw signal?.aborted ? cancelled(context, signal.reason) : error
    })
    try {
      const result = await this.#guard(client, context, signal, client.runHere(context, statement))
      client.release()
      return result
    } catch (error) {
      client.release(error instanceof UnavailableError || error instanceof StatementError)
      throw error
    }
  }

  /** Waits for an answer, but neither past an abort nor past a server that stopped answering. */
  #guard<T>(
    client: ScopedClient,
    context: TenantContext,
    signal: AbortSignal | undefined,
    work: Promise<T>,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const limitMs = (context.timeoutMs ?? this.#config.statementTimeoutMs) + STALL_GRACE_MS
      const stalled = setTimeout(() => {
        ;(client as unknown as ClientInternals).connection.stream.destroy()
        reject(
          new UnavailableError('ERR_TIMEOUT', `Cannot finish the statement: no answer within ${limitMs} ms`, {
            tenantId: context.tenant.id,
          }),
        )
      }, limitMs).unref()
      const onAbort = () => {
        void cancelRunning(client).finally(() => reject(cancelled(context, signal?.reason)))
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      work
        .then(resolve, (error) => reject(signal?.aborted ? cancelled(context, signal.reason) : error))
        .finally(() => {
          clearTimeout(stalled)
          signal?.removeEventListener('abort', onAbort)
        })
    })
  }

  #connectionConfig(): ScopedClientConfig {
    const { url, ssl, searchPath, statementTimeoutMs, lockTimeoutMs, preparedStatements, replica } = this.#config
    const { connectTimeoutMs, applicationName, variant } = this.#config
    const pins = { searchPath, statementTimeoutMs, lockTimeoutMs }
    const contexts = new Map<WireMode, ContextStatements>()
    return {
      connectionString: url,
      ...(ssl === undefined ? {} : { ssl }),
      application_name: applicationName,
      connectionTimeoutMillis: connectTimeoutMs,
      // A pooler of servers refuses or shares startup options; there the context statement pins the same settings.
      startupOptions: this.#startupOptions(),
      preparedStatements,
      pooler: this.#pooler,
      serverCheck: replica?.check ?? variant?.check,
      contextsOf: (mode) => {
        const made =
          contexts.get(mode) ??
          variant?.contextsOf(this.#sealer, mode, pins) ??
          (replica === undefined
            ? new ContextStatements(this.#sealer, mode, pins)
            : new ReplicaContextStatements(this.#sealer, mode, pins, replica.system))
        contexts.set(mode, made)
        return made
      },
      statementNames: new StatementNames(),
      tripwire: this.#tripwire(),
      record: (context, error, cost) => this.#record(context, error, cost),
      isShort: () => this.#budget.isShort,
      follow: this.#config.follow?.(this),
      takePlace: () => this.#takePlace(),
    }
  }

  #tripwire(): Tripwire {
    const { tripwire, honeyTokens, onAlarm } = this.#config
    return new Tripwire({ mode: tripwire, honeyTokens, raise: onAlarm })
  }

  async #takePlace(): Promise<() => void> {
    this.#places++
    const leave = await this.#budget.take(this).catch((error) => {
      this.#places--
      throw error
    })
    let left = false
    return () => {
      if (left) return
      left = true
      this.#places--
      leave()
    }
  }

  /** What RESET ALL goes back to. Sent with each connection, because a role can poison its own defaults with ALTER ROLE. */
  #startupOptions(): string {
    const { searchPath, statementTimeoutMs, lockTimeoutMs, idleInTransactionTimeoutMs } = this.#config
    const settings = {
      search_path: searchPath,
      row_security: 'on',
      statement_timeout: statementTimeoutMs,
      lock_timeout: lockTimeoutMs,
      idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
      default_transaction_isolation: 'read\\ committed',
      default_transaction_read_only: 'off',
      default_transaction_deferrable: 'off',
      ...this.#config.variant?.startupSettings,
    }
    return Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' ')
  }
}

function cancelled(context: TenantContext, reason: unknown): StatementError {
  return new StatementError(
    'ERR_STATEMENT_CANCELLED',
    'Cannot finish the statement: it was cancelled by its AbortSignal',
    {
      tenantId: context.tenant.id,
      cause: reason,
    },
  )
}
