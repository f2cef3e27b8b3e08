import type pg from 'pg'
import { findTenantContext, type TenantContext } from '../context/tenant-context.ts'
import { StatementError, TenantContextError } from '../errors.ts'
import type { ClientInternals, QueryConfig, WireConnection } from '../postgres/pg-internals.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { cancelRunning } from './cancel.ts'
import type { Preamble } from './context-statement.ts'
import { GuardedClient, type GuardedClientConfig } from './guarded-client.ts'
import { isDisplaced } from './moved-tenants.ts'
import { ScopedQuery, type ScopeHost, type Statement, type StatementCallback } from './scoped-query.ts'
import { type StatementKind, statementKind } from './statement-kind.ts'
import type { StatementNames } from './statement-names.ts'
import { type Tripwire, watchForeign } from './tripwire.ts'

export interface ScopedClientConfig extends GuardedClientConfig {
  readonly statementNames: StatementNames
  readonly tripwire: Tripwire
  /** Tells whether others wait for a connection of this server: one that is given back, or idle, is then closed. */
  readonly isShort: () => boolean
  readonly record: (context: TenantContext, error: Error | undefined, cost: Parameters<StatementCallback>[2]) => void
  /** Finds where the tenant of a refused statement lives now; not given where nobody lives for good. */
  readonly follow?: Follow | undefined
}

/** How work that was sent to an old home goes on in the new one. */
export interface Follow {
  /** Returns what is known of the tenant now, to compare with when its seal is refused. */
  knownOf(context: TenantContext): Tenant
  /** Sends the work to where its tenant lives, waiting while that is on its way. */
  goOn<T>(work: WorkToFollow<T>): Promise<T>
}

export interface WorkToFollow<T> {
  readonly context: TenantContext
  /** What was known of the tenant when its seal was refused. */
  readonly known: Tenant
  readonly refused: unknown
  readonly signal: AbortSignal
  /** Tells whether the present connection is still there. */
  readonly holds: () => boolean
  /** Gives it up before a wait, for others to use. */
  readonly letGo: () => void
  /** Does the work over a connection to the new home, which it takes over; undefined when the present one leads there. */
  readonly attempt: (home: (ScopedClient & pg.PoolClient) | undefined) => Promise<T>
}

interface OpenBlock {
  readonly context: TenantContext
  scoped: boolean
  /** What opened it, to be repeated elsewhere: BEGIN and what was set for it. */
  readonly opening: Statement[]
  /** True once a statement has done something in it: then it stays where it is. */
  ran: boolean
  /** Why it was rolled back here and opened nowhere else: until it is ended, nothing may run in it. */
  lost?: unknown
}

/**
 * A pooled connection that carries one tenant's work at a time.
 *
 * Modes, by the protocol's transaction status:
 * - idle: each statement goes out as its own scoped flush (preamble, statement, Sync).
 * - block opened (BEGIN was answered): SET TRANSACTION passes; the first other statement carries the context.
 * - block scoped: statements go out bare, the context holds until COMMIT or ROLLBACK.
 *
 * Whose work it is comes from two sources that must agree: the tenant the connection was checked out for, and the
 * context of the code that calls `query()`. A connection kept from another request is therefore refused.
 *
 * Where the tenant has moved while the connection was checked out, its first statement is refused. Nothing has run then,
 * and it goes on, with all that follow until the release, over a successor: a connection to the new home. Where it has to
 * wait for one, its own connection is closed and its place given to others.
 */
export class ScopedClient extends GuardedClient implements ScopeHost {
  readonly #config: ScopedClientConfig
  #owner: TenantContext | undefined
  #block: OpenBlock | undefined
  #successor: (ScopedClient & pg.PoolClient) | undefined
  #giveUp: (() => void) | undefined
  /** True once its connection was given up: it never serves again. */
  #gone = false
  /** The way to the new home, while it is looked for. */
  #search: { readonly abort: AbortController; readonly end: Promise<unknown> } | undefined
  #tainted = false

  constructor(config: ScopedClientConfig) {
    super(config)
    this.#config = config
  }

  get #internals(): ClientInternals {
    return this as unknown as ClientInternals
  }

  /**
   * Hands the connection to a tenant; called at checkout.
   *
   * @param giveUp  closes the connection and lets others have its place before the tenant's work is done
   */
  assign(context: TenantContext, giveUp: () => void): void {
    this.#owner = context
    this.#block = undefined
    this.#giveUp = giveUp
  }

  /** Takes it back. Returns true when it must not serve another tenant and has to be closed. */
  unassign(broken: boolean | Error | undefined): boolean {
    this.#owner = undefined
    this.#giveUp = undefined
    this.#search?.abort.abort()
    this.#successor?.release(broken)
    this.#successor = undefined
    const { _activeQuery, _queryQueue } = this as unknown as { _activeQuery: unknown; _queryQueue: unknown[] }
    return this.#tainted || !this.#isIdle() || Boolean(_activeQuery) || _queryQueue.length > 0
  }

  taint(): void {
    this.#tainted = true
  }

  /** Stops what runs here, or waits to. The caller closes the connection, so that a late signal hits nobody else. */
  async cancel(): Promise<void> {
    this.#search?.abort.abort()
    if (this.#successor !== undefined) await this.#successor.cancel()
    else if (!this.#gone) await cancelRunning(this)
  }

  /** No block is open but one that a failed scope has left, which the next scope ends. */
  #isIdle(): boolean {
    const { _txStatus } = this.#internals
    return _txStatus === 'I' || (_txStatus === 'E' && this.#block === undefined && this.contexts.opensBlock)
  }

  get tripwire(): Tripwire {
    return this.#config.tripwire
  }

  backendPid(): number | undefined {
    return this.#internals.processID ?? undefined
  }

  cut(connection: WireConnection, reason: Error): void {
    this.#tainted = true
    connection.stream.destroy(reason)
  }

  statementName({ text, context }: ScopedQuery, connection: WireConnection): string | undefined {
    if (!this.mode.named) return undefined
    return this.#config.statementNames.nameFor(text, this.contexts.homeOf(context), connection, this.mode.pinned)
  }

  openScope(query: ScopedQuery): Preamble | undefined {
    const statements = this.contexts
    if (this.#isIdle()) {
      const begins = query.kind === 'begin'
      this.#block = begins ? { context: query.context, scoped: false, opening: [], ran: false } : undefined
      return query.kind === 'begin' ? statements.begin() : statements.scope(query.context, true, query.after)
    }
    if (query.kind === 'end') return statements.end()
    if (this.#block === undefined || this.#block.scoped || query.kind === 'settings') return undefined
    this.#block.scoped = true
    return statements.scopeInTransaction(this.#block.context)
  }

  /** Runs a statement as `context`, whatever the calling code's context is. For the library's own callers. */
  async run(context: TenantContext, statement: Statement): Promise<pg.QueryResult> {
    // What is sent while a new home is looked for goes there, in the order it came.
    while (this.#search !== undefined) await this.#search.end
    if (this.#successor !== undefined) return this.#successor.run(context, statement)
    if (this.#block?.lost !== undefined) return this.#runInLostBlock(statement)
    const { follow } = this.#config
    if (follow === undefined) return this.runHere(context, statement)
    const known = follow.knownOf(context)
    if (this.#gone) return this.#goOn(follow, { context, known, refused: undefined }, [statement])
    try {
      return await this.runHere(context, statement)
    } catch (error) {
      if (!isDisplaced(error) || !this.#mayLeave()) throw error
      return this.#goOn(follow, { context, known, refused: error }, [...(this.#block?.opening ?? []), statement])
    }
  }

  /** Runs a statement as `context` over this connection and no other. */
  runHere(context: TenantContext, statement: Statement): Promise<pg.QueryResult> {
    return new Promise((resolve, reject) => {
      const query = new ScopedQuery(statement, context, this, (error, result, cost) => {
        this.#config.record(context, error, cost)
        if (error !== undefined) return reject(error)
        this.#note(statement)
        resolve(result as pg.QueryResult)
      })
      super.query(query as unknown as pg.Submittable)
    })
  }

  #note(statement: Statement): void {
    if (this.#block === undefined) return
    if (statement.kind === 'begin' || statement.kind === 'settings') this.#block.opening.push(statement)
    else this.#block.ran = true
  }

  /** Statements sent behind the refused one have their own answers, from here. */
  #mayLeave(): boolean {
    const { _queryQueue } = this as unknown as { _queryQueue: unknown[] }
    return this.#owner !== undefined && this.#block?.ran !== true && _queryQueue.length === 0
  }

  /** @param statements  the last one, with what opened its block in front of it */
  async #goOn(
    follow: Follow,
    work: Pick<WorkToFollow<unknown>, 'context' | 'known' | 'refused'>,
    statements: readonly Statement[],
  ): Promise<pg.QueryResult> {
    const { context } = work
    const inBlock = statements.length > 1
    const abort = new AbortController()
    let arrived = false
    const going = async () => {
      if (inBlock) await this.runHere(context, ROLLBACK)
      return follow.goOn({
        ...work,
        signal: abort.signal,
        holds: () => !this.#gone,
        letGo: () => this.#letGo(),
        attempt: (home) =>
          this.#runIn(home, context, statements).catch((error) => {
            arrived = !isDisplaced(error)
            throw error
          }),
      })
    }
    const gone = going()
    this.#search = { abort, end: gone.catch(() => {}) }
    try {
      return await gone
    } catch (error) {
      if (inBlock && !arrived) this.#block = { context, scoped: false, opening: [], ran: false, lost: error }
      throw error
    } finally {
      this.#search = undefined
    }
  }

  /** Runs the statements over a connection to the new home and keeps it, unless the tenant is not there either. */
  async #runIn(
    home: (ScopedClient & pg.PoolClient) | undefined,
    context: TenantContext,
    statements: readonly Statement[],
  ): Promise<pg.QueryResult> {
    // Given back meanwhile, as by an abort: nobody would release it any more.
    if (this.#owner === undefined) {
      home?.release()
      throw mismatch('the connection was given back to the pool')
    }
    this.#successor = home
    const client = home ?? this
    let result: pg.QueryResult | undefined
    try {
      for (const each of statements) result = await client.runHere(context, each)
      return result as pg.QueryResult
    } catch (error) {
      if (!isDisplaced(error)) throw error
      const broken = await this.#undo(client, context, statements.length > 1)
      if (home !== undefined && this.#successor === home) {
        this.#successor = undefined
        home.release(broken)
      }
      throw error
    }
  }

  /** Returns true when the connection is of no use any more. */
  #undo(client: ScopedClient, context: TenantContext, inBlock: boolean): Promise<boolean> {
    if (!inBlock) return Promise.resolve(false)
    return client.runHere(context, ROLLBACK).then(
      () => false,
      () => true,
    )
  }

  #letGo(): void {
    if (this.#gone) return
    this.#gone = true
    this.#block = undefined
    this.#giveUp?.()
  }

  /** As PostgreSQL treats a transaction that has failed: everything is refused until its end, which undoes nothing. */
  #runInLostBlock({ kind }: Statement): Promise<pg.QueryResult> {
    const { lost } = this.#block as OpenBlock
    if (kind !== 'end') return Promise.reject(lost)
    this.#block = undefined
    return Promise.resolve({ command: 'ROLLBACK', rowCount: null, oid: 0, rows: [], fields: [] })
  }

  /** Sends a Submittable (cursor, copy stream) into the transaction block that is open. */
  runForeign<T extends pg.Submittable>(submittable: T): T {
    if (this.#successor !== undefined) return this.#successor.runForeign(submittable)
    return super.query(submittable)
  }

  /**
   * Runs a statement for the tenant this connection was checked out for. Same shapes as `pg`, promises only.
   *
   * @throws {TenantContextError} `ERR_TENANT_CONTEXT_MISSING`, `ERR_TENANT_CONTEXT_MISMATCH`
   * @throws {StatementError} `ERR_STATEMENT_REFUSED` for callbacks, and for cursors outside of a transaction
   */
  // biome-ignore lint/suspicious/noExplicitAny: pg declares nine overloads; this is the one implementation behind them
  override query(config: any, values?: any, callback?: any): any {
    if (this.#successor !== undefined) return this.#successor.query(config, values, callback)
    if (typeof config?.submit === 'function') return this.#queryForeign(config)
    if (typeof values === 'function' || typeof callback === 'function') throw callbackRefused()
    try {
      const statement = toStatement(config, values)
      return this.run(this.#contextFor(statement.kind), statement)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #queryForeign<T extends pg.Submittable>(submittable: T): T {
    if (this.#internals._txStatus !== 'T' || this.#block?.scoped !== true) {
      throw new StatementError(
        'ERR_STATEMENT_REFUSED',
        'Cannot run a cursor or stream here: it spans several flushes, and the tenant context lasts for one; open a transaction and run a statement in it first',
      )
    }
    return super.query(watchForeign(submittable, this.#contextFor('other'), this))
  }

  #contextFor(kind: StatementKind): TenantContext {
    const owner = this.#owner
    const ambient = findTenantContext()
    if (owner === undefined) throw mismatch('the connection was given back to the pool')
    if (this.#block !== undefined && (this.#internals._txStatus !== 'I' || this.#block.lost !== undefined)) {
      // Ending a block reaches no row, and drivers do it from timers and finalisers that carry no context.
      if (kind !== 'end' && ambient !== this.#block.context) throw mismatch('the transaction was opened in another one')
      return this.#block.context
    }
    if (ambient === undefined) throw missing()
    if (ambient.tenant.id !== owner.tenant.id) throw mismatch('the connection was checked out for another tenant')
    return ambient
  }
}

const ROLLBACK: Statement = { text: 'rollback', kind: 'end' }

/** Reads the argument shapes `pg` takes. @throws {TypeError} when there is no text */
export function toStatement(config: string | QueryConfig, values?: readonly unknown[]): Statement {
  const query: QueryConfig = typeof config === 'string' ? { text: config, values } : config
  if (typeof query?.text !== 'string')
    throw new TypeError('Cannot run a query without text: wanted a string or { text, values }')
  return { ...query, values: query.values ?? values, kind: statementKind(query.text) }
}

export function callbackRefused(): StatementError {
  return new StatementError(
    'ERR_STATEMENT_REFUSED',
    'Cannot call back: a callback on a pooled connection runs in the context of whoever used the connection before; await the promise instead',
  )
}

function missing(): TenantContextError {
  return new TenantContextError(
    'ERR_TENANT_CONTEXT_MISSING',
    'Cannot run the statement: no tenant is set for this work; call withTenant() or put the tenantFromRequest() middleware before this handler',
  )
}

function mismatch(found: string): TenantContextError {
  return new TenantContextError(
    'ERR_TENANT_CONTEXT_MISMATCH',
    `Cannot run the statement in this tenant context: ${found}; take the connection inside the work that uses it`,
  )
}
