import type { QueryResult } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import { StatementError, TenantError, UnavailableError } from '../errors.ts'
import { isContextMissing, isContextRefused } from '../postgres/database-error.ts'
import type { ClientInternals } from '../postgres/pg-internals.ts'
import type { Sealer } from '../seal/seal.ts'
import type { TenantDirectory } from '../tenant/directory.ts'
import { PLATFORM } from '../tenant/platform.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { cancelRunning } from './cancel.ts'
import { ContextStatements } from './context-statement.ts'
import { Lanes } from './lanes.ts'
import type { ScopedClient, ScopedClientConfig } from './scoped-client.ts'
import { ScopedPool } from './scoped-pool.ts'
import type { Statement, StatementCost } from './scoped-query.ts'
import { StatementNames } from './statement-names.ts'
import { Tracing } from './tracing.ts'
import { type IsolationAlarm, Tripwire, type TripwireMode } from './tripwire.ts'
import { UsageMeter } from './usage.ts'

/** How one PostgreSQL server is reached and how much work it is given. All limits have defaults in `createRowhouse`. */
export interface ExecutorConfig {
  readonly url: string
  readonly ssl: boolean | object | undefined
  readonly searchPath: string
  readonly statementTimeoutMs: number
  readonly lockTimeoutMs: number
  readonly idleInTransactionTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly preparedStatements: boolean
  readonly lanes: number
  readonly poolSize: number
  readonly maxWaiting: number
  readonly maxWaitingPerTenant: number
  readonly waitTimeoutMs: number
  readonly applicationName: string
  readonly tripwire: TripwireMode
  readonly honeyTokens: readonly string[]
  /** Must not throw. */
  readonly onAlarm: (alarm: IsolationAlarm) => void
}

export interface RunOptions {
  /** Aborting it cancels the statement in the database. */
  readonly signal?: AbortSignal | undefined
}

/** How long the server gets, beyond statement_timeout, before a connection that says nothing is cut. */
const STALL_GRACE_MS = 5_000

/** Runs statements as tenants: short ones on shared lanes, all others on a pooled connection. */
export class Executor {
  readonly pool: ScopedPool
  readonly usage = new UsageMeter()
  readonly #config: ExecutorConfig
  readonly #lanes: Lanes
  readonly #sealer: Sealer
  readonly #tracing = new Tracing()
  #directory: TenantDirectory | undefined

  constructor(config: ExecutorConfig, sealer: Sealer) {
    this.#config = config
    this.#sealer = sealer
    const connection = this.#connectionConfig()
    const gate = {
      maxWaiting: config.maxWaiting,
      maxWaitingPerTenant: config.maxWaitingPerTenant,
      waitTimeoutMs: config.waitTimeoutMs,
    }
    this.#lanes = new Lanes({ ...connection, lanes: config.lanes, gate, statementTimeoutMs: config.statementTimeoutMs })
    this.pool = new ScopedPool({
      ...connection,
      max: config.poolSize,
      gate,
      execute: (context, statement) => this.run(context, statement),
      recordWait: (context, waitedMs) => this.usage.recordWait(context, waitedMs),
    })
  }

  /** Says where to look a tenant up again when the database refuses its seal. */
  setDirectory(directory: TenantDirectory): void {
    this.#directory = directory
  }

  /** Runs one statement as `context`. A seal of an old epoch or key is made anew and the statement sent once more: it never ran, or was rolled back. */
  run(context: TenantContext, statement: Statement, options: RunOptions = {}): Promise<QueryResult> {
    const sealedAs = this.#sealer.currentTenant(context.tenant)
    return this.#attempt(context, statement, options).catch(async (error) => {
      // A read whose function left work to a deferred trigger, which came too late: a pooled connection waits for those.
      if (isContextMissing(error) && statement.kind === 'read')
        return this.#runPooled(context, statement, options.signal)
      if (!isContextRefused(error) || context.tenant === PLATFORM) throw error
      // Another statement of this tenant may have found out first; its finding serves this one too.
      if (this.#sealer.currentTenant(context.tenant) === sealedAs) await this.#refreshTenant(context, sealedAs, error)
      return this.#attempt(context, statement, options)
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#lanes.close(), this.pool.ended ? undefined : this.pool.end()])
  }

  #attempt(context: TenantContext, statement: Statement, { signal }: RunOptions): Promise<QueryResult> {
    const finish = this.#tracing.start(context, statement)
    const record = (error: Error | undefined, cost: StatementCost) => {
      this.usage.record(context, error, cost)
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
      const result = await this.#guard(client, context, signal, client.run(context, statement))
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

  async #refreshTenant(context: TenantContext, known: Tenant, refused: unknown): Promise<void> {
    this.#directory?.invalidate(known.id)
    const fresh = (await this.#directory?.find({ by: 'id', value: known.id }))?.tenant
    if (fresh === undefined) {
      throw new TenantError('ERR_TENANT_NOT_FOUND', 'Cannot continue for this tenant: it no longer exists', {
        tenantId: known.id,
      })
    }
    if (fresh.state !== 'active') {
      throw new TenantError('ERR_TENANT_SUSPENDED', 'Cannot continue for this tenant: it was suspended', {
        tenantId: known.id,
      })
    }
    if (fresh.epoch === known.epoch && fresh.keyVersion === known.keyVersion) throw refused
    this.#sealer.replaceTenant(context.tenant, fresh)
  }

  #connectionConfig(): ScopedClientConfig {
    const { url, ssl, searchPath, statementTimeoutMs, preparedStatements, connectTimeoutMs, applicationName } =
      this.#config
    const pins = { searchPath, statementTimeoutMs }
    return {
      connectionString: url,
      ...(ssl === undefined ? {} : { ssl }),
      application_name: applicationName,
      connectionTimeoutMillis: connectTimeoutMs,
      // A pooler of servers would refuse or share startup options; there the context statement pins the same settings.
      ...(preparedStatements ? { options: this.#startupOptions() } : {}),
      preparedStatements,
      contextStatements: new ContextStatements(this.#sealer, preparedStatements, pins),
      statementNames: new StatementNames(),
      tripwire: this.#tripwire(),
      record: (context, error, cost) => this.usage.record(context, error, cost),
    }
  }

  #tripwire(): Tripwire {
    const { tripwire, honeyTokens, onAlarm } = this.#config
    const raise = (alarm: IsolationAlarm) => {
      this.usage.recordAlarm(alarm.kind)
      onAlarm(alarm)
    }
    return new Tripwire({ mode: tripwire, honeyTokens, raise })
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
