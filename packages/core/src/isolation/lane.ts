import type pg from 'pg'
import type { ClientInternals, WireConnection } from '../postgres/pg-internals.ts'
import type { Preamble } from './context-statement.ts'
import { GuardedClient, type GuardedClientConfig } from './guarded-client.ts'
import type { ScopedQuery, ScopeHost } from './scoped-query.ts'
import type { StatementNames } from './statement-names.ts'
import type { Tripwire } from './tripwire.ts'

export interface LaneConfig extends GuardedClientConfig {
  readonly statementNames: StatementNames
  readonly tripwire: Tripwire
  /** Tells whether others wait for a connection of this server: an idle one is then closed. */
  readonly isShort: () => boolean
}

/**
 * One pipelined connection that carries many tenants' short statements in flight, each its own transaction.
 *
 * Modes: closed → connecting → open → closed (connection lost, stalled, or ended). A statement that comes while
 * closed opens it again; statements in flight when it closes fail with the connection's error. A lane that gives way to
 * another database (`retire`) answers what it has first.
 */
export class Lane implements ScopeHost {
  readonly #config: LaneConfig
  #client: GuardedClient | undefined
  #connecting: Promise<GuardedClient> | undefined
  /** Statements sent and not yet answered, by connection: one that gives way ends with its last answer. */
  readonly #owed = new Map<GuardedClient, number>()
  readonly #carriers = new WeakMap<ScopedQuery, GuardedClient>()
  #openedMs = 0
  /** Statements sent and not yet answered. */
  inFlight = 0
  /** When the statement now at the head of the line began to run, in `performance.now()` milliseconds. */
  headSinceMs = 0

  constructor(config: LaneConfig) {
    this.#config = config
  }

  openScope(query: ScopedQuery): Preamble {
    return this.#carrierOf(query).contexts.scope(query.context, query.kind !== 'read', query.after)
  }

  get tripwire(): Tripwire {
    return this.#config.tripwire
  }

  backendPid(): number | undefined {
    return (this.#client as unknown as ClientInternals | undefined)?.processID ?? undefined
  }

  /** Cuts the connection a statement came over, which may not be the present one any more. */
  cut(connection: WireConnection, reason: Error): void {
    if ((this.#client as unknown as ClientInternals | undefined)?.connection === connection) this.#client = undefined
    connection.stream.destroy(reason)
  }

  statementName(query: ScopedQuery, connection: WireConnection): string | undefined {
    const { mode, contexts } = this.#carrierOf(query)
    if (!mode.named) return undefined
    return this.#config.statementNames.nameFor(query.text, contexts.homeOf(query.context), connection, mode.pinned)
  }

  #carrierOf(query: ScopedQuery): GuardedClient {
    return this.#carriers.get(query) as GuardedClient
  }

  /** Nothing to do: lanes take reads and writes only, and each flush ends with RESET ALL. */
  taint(): void {}

  send(query: ScopedQuery): void {
    this.inFlight++
    if (this.inFlight === 1) this.headSinceMs = performance.now()
    if (this.#client !== undefined) {
      this.#submit(this.#client, query)
      return
    }
    this.#open().then(
      (client) => this.#submit(client, query),
      (error) => query.handleError(error, undefined as never),
    )
  }

  /** A statement that cannot be put into bytes fails alone, but what was sent of it is unknown: the connection goes. */
  #submit(client: GuardedClient, query: ScopedQuery): void {
    this.#owed.set(client, (this.#owed.get(client) ?? 0) + 1)
    this.#carriers.set(query, client)
    try {
      client.query(query as unknown as pg.Submittable)
    } catch (error) {
      this.destroy(error as Error)
      query.handleError(error as Error, undefined as never)
    }
  }

  /** Says that a statement was answered. Returns how long it held the line, in milliseconds. */
  answered(query: ScopedQuery): number {
    const now = performance.now()
    const heldMs = now - this.headSinceMs
    this.inFlight--
    this.headSinceMs = now
    const client = this.#carriers.get(query)
    if (client !== undefined) this.#settle(client)
    return heldMs
  }

  /** Closes a connection that owes no answer. Returns false when there is none, or it is at work. */
  dropIdle(): boolean {
    const client = this.#client
    if (client === undefined || (this.#owed.get(client) ?? 0) > 0) return false
    this.#client = undefined
    client.end().catch(() => {})
    return true
  }

  /** Lets the connection close with its last answer; statements from now on wait for a new one. */
  retire(minOpenMs: number): boolean {
    if (this.#client === undefined || performance.now() - this.#openedMs < minOpenMs) return false
    if (!this.dropIdle()) this.#client = undefined
    return true
  }

  get idleSinceMs(): number {
    return this.#client === undefined || this.inFlight > 0 ? Number.POSITIVE_INFINITY : this.headSinceMs
  }

  #settle(client: GuardedClient): void {
    const owed = (this.#owed.get(client) ?? 1) - 1
    this.#owed.set(client, owed)
    if (owed > 0 || (client === this.#client && !this.#config.isShort())) return
    // Not at once: `pg` is still inside its handler of the last answer.
    setImmediate(() => {
      // All that were in flight on a lost connection come by here.
      if ((this.#owed.get(client) ?? 0) > 0 || (client as unknown as ClientInternals)._ending) return
      if (client === this.#client) this.#client = undefined
      this.#owed.delete(client)
      client.end().catch(() => {})
    })
  }

  /** Cuts the connection; statements in flight fail and the next one opens it anew. */
  destroy(reason: Error): void {
    const client = this.#client
    this.#client = undefined
    if (client !== undefined) (client as unknown as ClientInternals).connection.stream.destroy(reason)
  }

  async close(): Promise<void> {
    const client = this.#client ?? (await this.#connecting?.catch(() => undefined))
    this.#client = undefined
    await client?.end()
  }

  #open(): Promise<GuardedClient> {
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(): Promise<GuardedClient> {
    const client = await this.#config.pooler.connect(() => {
      const opening = new GuardedClient({ ...this.#config, pipeline: true } as GuardedClientConfig)
      // Errors of a lost connection reach each statement in flight; the event only says "do not use this one again".
      opening.on('error', () => this.#drop(opening))
      opening.on('end', () => this.#drop(opening))
      return opening.connect()
    })
    this.#client = client
    this.headSinceMs = performance.now()
    this.#openedMs = this.headSinceMs
    return client
  }

  #drop(client: GuardedClient): void {
    this.#owed.delete(client)
    if (this.#client === client) this.#client = undefined
  }
}
