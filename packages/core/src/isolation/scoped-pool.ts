import pg from 'pg'
import { requireTenantContext, type TenantContext } from '../context/tenant-context.ts'
import { UnavailableError } from '../errors.ts'
import type { QueryConfig } from '../postgres/pg-internals.ts'
import { MIN_SLICE_MS } from './connection-budget.ts'
import { FairGate, type GateLimits } from './fair-gate.ts'
import { assertMayListen } from './merging-clients.ts'
import { callbackRefused, ScopedClient, type ScopedClientConfig, toStatement } from './scoped-client.ts'
import type { Statement } from './scoped-query.ts'

export interface ScopedPoolConfig extends ScopedClientConfig {
  readonly max: number
  readonly gate: Omit<GateLimits, 'slots'>
  /** Given to the pool that applications see: its tenants may live in other databases. */
  readonly route?: PoolRoute
  /** Called with the milliseconds a checkout waited. */
  readonly recordWait: (context: TenantContext, waitedMs: number) => void
}

/** Sends work to the database its tenant lives in. */
export interface PoolRoute {
  run(context: TenantContext, statement: Statement): Promise<pg.QueryResult>
  checkOut(context: TenantContext): Promise<ScopedClient & pg.PoolClient>
}

/**
 * A real `pg.Pool` whose statements run as the tenant of the calling code.
 *
 * The tenant is read when `query()` or `connect()` is CALLED. Read later, inside the client, AsyncLocalStorage gives
 * the context of whoever released the connection: with the stock pool, 160 of 200 concurrent queries were answered
 * with another tenant's rows (`test/isolation/stock-pool.test.ts` keeps that alive as a positive control).
 */
export class ScopedPool extends pg.Pool {
  readonly #config: ScopedPoolConfig
  readonly #gate: FairGate

  constructor(config: ScopedPoolConfig) {
    super({ ...config, Client: ScopedClient } as unknown as pg.PoolConfig)
    this.#config = config
    this.#gate = new FairGate({ ...config.gate, slots: config.max })
    // An idle connection that is lost is replaced at the next checkout; without a listener it would end the process.
    // Not through the guard below: the pool of another home may be opened by a statement of Prisma's, on its stack.
    super.on('error', () => {})
  }

  /** As in pg; refuses Prisma's adapter until `rowhouse/prisma` has made its client safe. */
  // biome-ignore lint/suspicious/noExplicitAny: pg declares an overload per event
  override on(event: any, listener: (...args: any[]) => void): this {
    assertMayListen(this, event, listener)
    return super.on(event, listener)
  }

  /**
   * Checks out a connection for the tenant of the calling code. Fair between tenants, bounded in number and time.
   *
   * @throws {TenantContextError} `ERR_TENANT_CONTEXT_MISSING`
   * @throws {UnavailableError} `ERR_OVERLOADED`, `ERR_DATABASE_UNAVAILABLE`
   * @throws {StatementError} `ERR_STATEMENT_REFUSED` for a callback
   */
  // biome-ignore lint/suspicious/noExplicitAny: pg declares two overloads; callbacks are refused
  override connect(callback?: any): any {
    if (callback !== undefined) throw callbackRefused()
    try {
      const context = requireTenantContext()
      return this.#config.route?.checkOut(context) ?? this.checkOut(context)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Checks out a connection for `context`, whatever the calling code's context is. For the library's own callers. */
  checkOut(context: TenantContext, signal?: AbortSignal): Promise<ScopedClient & pg.PoolClient> {
    const askedMs = performance.now()
    return new Promise((resolve, reject) => {
      let giveUp: (() => boolean) | undefined
      const onAbort = () => {
        if (giveUp?.() === true) reject(signal?.reason)
      }
      const start = () => {
        signal?.removeEventListener('abort', onAbort)
        this.#config.recordWait(context, performance.now() - askedMs)
        this.#acquire(context).then(resolve, (error) => {
          this.#gate.leave(context.tenant)
          reject(error)
        })
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      giveUp = this.#gate.enter(context.tenant, start, reject)
    })
  }

  /** Runs one statement for the tenant of the calling code. Same shapes as `pg`, promises only. */
  // biome-ignore lint/suspicious/noExplicitAny: pg declares nine overloads; this is the one implementation behind them
  override query(config: any, values?: any, callback?: any): any {
    if (typeof values === 'function' || typeof callback === 'function') throw callbackRefused()
    try {
      const { route } = this.#config
      if (route === undefined) throw new TypeError('Cannot run a statement on the pool of one database')
      return route.run(requireTenantContext(), toStatement(config as string | QueryConfig, values))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Closes one connection nobody uses. */
  dropIdle(): boolean {
    if (this.idleCount === 0 || this.ended) return false
    super.connect().then(
      (client) => client.release(true),
      () => {},
    )
    return true
  }

  override end(): Promise<void>
  override end(callback: () => void): void
  override end(callback?: () => void): Promise<void> | undefined {
    this.#gate.refuseAll(
      new UnavailableError('ERR_DATABASE_UNAVAILABLE', 'Cannot check out a connection: Rowhouse is closing'),
    )
    if (callback === undefined) return super.end()
    super.end(callback)
    return undefined
  }

  /** Tells whether somebody else is to have the connection: at once when nobody waits here, otherwise after its slice. */
  #givesWay({ openedMs }: ScopedClient): boolean {
    return this.#config.isShort() && (this.#gate.waiting === 0 || performance.now() - openedMs > MIN_SLICE_MS)
  }

  async #acquire(context: TenantContext): Promise<ScopedClient & pg.PoolClient> {
    const client = (await this.#config.pooler.connect(() => super.connect())) as unknown as ScopedClient & pg.PoolClient
    const release = client.release.bind(client)
    let released = false
    let gone = false
    client.assign(context, () => {
      gone = true
      release(true)
      this.#gate.leave(context.tenant)
    })
    client.release = (error?: Error | boolean) => {
      // A second release must not touch the connection, which may serve another tenant by now: pg throws.
      if (released) return release(error)
      released = true
      const discard = client.unassign(error)
      if (gone) return
      release(error || discard || this.#givesWay(client))
      this.#gate.leave(context.tenant)
    }
    return client
  }
}
