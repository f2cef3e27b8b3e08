import type { QueryResult } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import {
  type CommandCompleteMessage,
  type DataRowMessage,
  type QueryConfig,
  type WireConnection,
  WireQuery,
} from '../postgres/pg-internals.ts'
import type { Preamble } from './context-statement.ts'
import { leavesTraces, type StatementKind } from './statement-kind.ts'

/** A statement and whose it is. */
export interface Statement extends QueryConfig {
  readonly kind: StatementKind
}

/** The connection a scoped query runs on. */
export interface ScopeHost {
  /** Returns what has to be sent in front of this query; called at the moment of sending. */
  openScope(query: ScopedQuery): Preamble | undefined
  /** Returns the name to prepare this text under, or undefined to send it unnamed. */
  statementName(text: string, connection: WireConnection): string | undefined
  /** Called once when a statement may have left something behind. */
  taint(): void
}

/** What a statement cost, counted where it ran. */
export interface StatementCost {
  readonly rows: number
  readonly bytes: number
  /** From sending to the last byte of the answer, in milliseconds. */
  readonly elapsedMs: number
}

export type StatementCallback = (error: Error | undefined, result: QueryResult | undefined, cost: StatementCost) => void

/**
 * A query with its tenant's context in front of it, in one flush, before one Sync.
 *
 * Sent by `pg` like any other query. The answers to the preamble come first and are swallowed here, so that the
 * caller sees the result of the statement alone. Always the extended protocol: stacked statements are refused.
 */
export class ScopedQuery extends WireQuery {
  readonly context: TenantContext
  readonly kind: StatementKind
  readonly #host: ScopeHost
  readonly #done: StatementCallback
  #owedCommands = 0
  #bytes = 0
  #sentAt = 0
  #settled = false

  constructor(statement: Statement, context: TenantContext, host: ScopeHost, done: StatementCallback) {
    super({ ...statement, queryMode: 'extended' })
    this.context = context
    this.kind = statement.kind
    this.#host = host
    this.#done = done
    this.callback = (error, result) => this.#settle(error ?? undefined, result)
  }

  override requiresPreparation(): boolean {
    return true
  }

  override prepare(connection: WireConnection): void {
    this.#sentAt = performance.now()
    const preamble = this.#host.openScope(this)
    this.name ??= this.#host.statementName(this.text, connection)
    if (preamble !== undefined) {
      this.#owedCommands = preamble.commands
      connection._send(preamble.bytes)
    }
    super.prepare(connection)
  }

  override handleDataRow(message: DataRowMessage): void {
    if (this.#owedCommands > 0) return
    this.#bytes += message.length
    super.handleDataRow(message)
  }

  override handleCommandComplete(message: CommandCompleteMessage, connection: WireConnection): void {
    if (this.#owedCommands > 0) {
      this.#owedCommands--
      return
    }
    if (this.kind === 'other' && leavesTraces(this.text, message.text)) this.#host.taint()
    super.handleCommandComplete(message, connection)
  }

  /** `pg` may call back twice when binding fails: once for the error, once for ReadyForQuery. */
  #settle(error: Error | undefined, result: QueryResult | undefined): void {
    if (this.#settled) return
    this.#settled = true
    const rows = result?.rowCount ?? 0
    this.#done(error, result, { rows, bytes: this.#bytes, elapsedMs: performance.now() - this.#sentAt })
  }
}
