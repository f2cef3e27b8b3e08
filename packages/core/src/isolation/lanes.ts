import { LRUCache } from 'lru-cache'
import type { QueryResult } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import { UnavailableError } from '../errors.ts'
import { FairGate, type GateLimits } from './fair-gate.ts'
import { Lane, type LaneConfig } from './lane.ts'
import { ScopedQuery, type Statement, type StatementCallback } from './scoped-query.ts'

export interface LanesConfig extends LaneConfig {
  readonly lanes: number
  readonly gate: Omit<GateLimits, 'slots'>
  readonly statementTimeoutMs: number
}

/**
 * Statements in flight per lane. More add no throughput once the server is busy (16 and 64 measured alike) and make
 * the line behind a slow statement longer; fewer leave the server waiting for the network.
 */
const DEPTH = 16

/** A text that held a lane longer than this takes a pooled connection from then on: others wait behind it. */
const LONG_STATEMENT_MS = 25
const REMEMBERED_LONG_TEXTS = 1_000

/** How long the server gets, beyond its own statement_timeout, before a silent connection is cut. */
const STALL_GRACE_MS = 5_000

/** A few pipelined connections that carry all tenants' short statements, in fair turns. */
export class Lanes {
  readonly #lanes: readonly Lane[]
  readonly #gate: FairGate
  readonly #long = new LRUCache<string, true>({ max: REMEMBERED_LONG_TEXTS })
  readonly #watchdog: NodeJS.Timeout

  constructor(config: LanesConfig) {
    this.#lanes = Array.from({ length: config.lanes }, () => new Lane(config))
    this.#gate = new FairGate({ ...config.gate, slots: config.lanes * DEPTH })
    const limitMs = config.statementTimeoutMs + STALL_GRACE_MS
    this.#watchdog = setInterval(() => this.#cutStalled(limitMs), 1_000).unref()
  }

  get waiting(): number {
    return this.#gate.waiting
  }

  /** Tells whether a statement belongs here: plain, with the default timeout, and not known to be long. */
  takes(statement: Statement, context: TenantContext): boolean {
    return (
      this.#lanes.length > 0 &&
      statement.kind === 'plain' &&
      context.timeoutMs === undefined &&
      !this.#long.has(statement.text)
    )
  }

  run(context: TenantContext, statement: Statement, done: StatementCallback): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const start = () => {
        const lane = this.#leastBusy()
        const query = new ScopedQuery(statement, context, lane, (error, result, cost) => {
          if (lane.answered() > LONG_STATEMENT_MS) this.#long.set(statement.text, true)
          this.#gate.leave()
          done(error, result, cost)
          if (error !== undefined) reject(error)
          else resolve(result as QueryResult)
        })
        lane.send(query)
      }
      this.#gate.enter(context.tenant.id, start, reject)
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#watchdog)
    this.#gate.refuseAll(
      new UnavailableError('ERR_DATABASE_UNAVAILABLE', 'Cannot run the statement: Rowhouse is closing'),
    )
    await Promise.all(this.#lanes.map((lane) => lane.close()))
  }

  #leastBusy(): Lane {
    return this.#lanes.reduce((best, lane) => (lane.inFlight < best.inFlight ? lane : best))
  }

  #cutStalled(limitMs: number): void {
    const now = performance.now()
    for (const lane of this.#lanes) {
      if (lane.inFlight === 0 || now - lane.headSinceMs < limitMs) continue
      lane.destroy(new Error(`no answer within ${limitMs} ms`))
    }
  }
}
