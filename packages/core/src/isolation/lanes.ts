import { LRUCache } from 'lru-cache'
import type { QueryResult } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import { IsolationError, UnavailableError } from '../errors.ts'
import { PLATFORM } from '../tenant/platform.ts'
import { FairGate, type GateLimits } from './fair-gate.ts'
import { Lane, type LaneConfig } from './lane.ts'
import { ScopedQuery, type Statement, type StatementCallback } from './scoped-query.ts'

export interface LanesConfig extends LaneConfig {
  readonly lanes: number
  /** True where the registry is: the platform's statements have a lane even when `lanes` is 0. */
  readonly carriesRegistry: boolean
  readonly gate: Omit<GateLimits, 'slots'>
  readonly statementTimeoutMs: number
  /** An idle connection is closed after this long, in milliseconds. */
  readonly idleCloseMs: number
}

/**
 * Statements in flight per lane. More add no throughput once the server is busy (16 and 64 measured alike) and make
 * the line behind a slow statement longer; fewer leave the server waiting for the network.
 */
const DEPTH = 16

/**
 * A text that holds its lane for longer than this on average takes a pooled connection for a while: others wait behind
 * it. The average decides, not the worst run: a busy machine stalls any statement for 25 ms now and then, and three such
 * runs once moved a hot statement of 0.05 ms off the lanes.
 */
const LONG_ON_AVERAGE_MS = 10
/** Weight of the newest run; a statement that is always slow is found out in about ten runs. */
const NEWEST_WEIGHT = 0.1
const LONG_MEMORY_MS = 60_000
const REMEMBERED_SLOW_TEXTS = 1_000

/** How long the server gets, beyond its own statement_timeout, before a silent connection is cut. */
const STALL_GRACE_MS = 5_000

/** A few pipelined connections that carry all tenants' short statements, in fair turns. */
export class Lanes {
  readonly #lanes: readonly Lane[]
  readonly #forTenants: boolean
  readonly #gate: FairGate
  /** Average time on a lane, in milliseconds, of texts that were slow at least once; infinite for those that cost a lane. */
  readonly #slow = new LRUCache<string, number>({ max: REMEMBERED_SLOW_TEXTS, ttl: LONG_MEMORY_MS })
  readonly #watchdog: NodeJS.Timeout

  constructor(config: LanesConfig) {
    const lanes = config.carriesRegistry ? Math.max(config.lanes, 1) : config.lanes
    this.#lanes = Array.from({ length: lanes }, () => new Lane(config))
    this.#forTenants = config.lanes > 0
    this.#gate = new FairGate({ ...config.gate, slots: lanes * DEPTH })
    const limitMs = config.statementTimeoutMs + STALL_GRACE_MS
    this.#watchdog = setInterval(() => this.#tend(limitMs, config.idleCloseMs), 1_000).unref()
  }

  get waiting(): number {
    return this.#gate.waiting
  }

  /**
   * Tells whether a statement belongs here: a read or a write, with the default timeout, and not known to be long.
   *
   * Those of the platform always do: who holds a pooled connection may have to ask the registry where its tenant lives
   * now, and would wait for itself if that took another one.
   */
  takes(statement: Statement, context: TenantContext): boolean {
    if (statement.kind !== 'read' && statement.kind !== 'write') return false
    if (context.timeoutMs !== undefined) return false
    if (context.tenant === PLATFORM) return this.#lanes.length > 0
    return this.#forTenants && (this.#slow.size === 0 || (this.#slow.get(statement.text) ?? 0) < LONG_ON_AVERAGE_MS)
  }

  run(context: TenantContext, statement: Statement, done: StatementCallback): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const start = () => {
        const lane = this.#leastBusy()
        const query = new ScopedQuery(statement, context, lane, (error, result, cost) => {
          this.#learn(statement.text, lane.answered(query), error)
          this.#gate.leave(context.tenant)
          done(error, result, cost)
          if (error !== undefined) reject(error)
          else resolve(result as QueryResult)
        })
        lane.send(query)
      }
      this.#gate.enter(context.tenant, start, reject)
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#watchdog)
    this.#gate.refuseAll(
      new UnavailableError('ERR_DATABASE_UNAVAILABLE', 'Cannot run the statement: Rowhouse is closing'),
    )
    await Promise.all(this.#lanes.map((lane) => lane.close()))
  }

  #learn(text: string, heldMs: number, error: Error | undefined): void {
    // The tripwire cut the lane under everybody on it; asked again, the text must harm its own tenant alone.
    if (error instanceof IsolationError) {
      this.#slow.set(text, Number.POSITIVE_INFINITY)
      return
    }
    const known = this.#slow.size === 0 ? undefined : this.#slow.get(text)
    if (known === undefined && heldMs < LONG_ON_AVERAGE_MS) return
    this.#slow.set(text, (known ?? 0) * (1 - NEWEST_WEIGHT) + heldMs * NEWEST_WEIGHT)
  }

  /** Closes one lane's idle connection. */
  dropIdle(): boolean {
    return this.#lanes.some((lane) => lane.dropIdle())
  }

  /** Lets one lane's connection finish and close; those younger than `minOpenMs` stay. */
  retire(minOpenMs: number): boolean {
    return this.#lanes.some((lane) => lane.retire(minOpenMs))
  }

  get inFlight(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.inFlight, 0)
  }

  #leastBusy(): Lane {
    return this.#lanes.reduce((best, lane) => (lane.inFlight < best.inFlight ? lane : best))
  }

  #tend(limitMs: number, idleCloseMs: number): void {
    const now = performance.now()
    for (const lane of this.#lanes) {
      if (now - lane.idleSinceMs > idleCloseMs) lane.dropIdle()
      if (lane.inFlight === 0 || now - lane.headSinceMs < limitMs) continue
      lane.destroy(new Error(`no answer within ${limitMs} ms`))
    }
  }
}
