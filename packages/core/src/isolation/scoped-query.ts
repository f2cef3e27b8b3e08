import type { QueryResult } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import {
  type CommandCompleteMessage,
  type DataRowMessage,
  type QueryConfig,
  type RowDescriptionMessage,
  type WireConnection,
  WireQuery,
} from '../postgres/pg-internals.ts'
import type { Preamble } from './context-statement.ts'
import { leavesTraces, type StatementKind } from './statement-kind.ts'
import { connectionCut, type RowWatch, type WatchedHost } from './tripwire.ts'

/** A statement and whose it is. */
export interface Statement extends QueryConfig {
  readonly kind: StatementKind
  /** The statement an alarm names, where `text` says only how its rows are fetched. */
  readonly source?: string | undefined
  /** For a replica: the log position it must have replayed. */
  readonly after?: string | undefined
}

/** The connection a scoped query runs on. */
export interface ScopeHost extends WatchedHost {
  /** Returns what has to be sent in front of this query; called at the moment of sending. */
  openScope(query: ScopedQuery): Preamble | undefined
  /** Returns the name to prepare this text under, or undefined to send it unnamed. */
  statementName(query: ScopedQuery, connection: WireConnection): string | undefined
  /** Called once when a statement may have left something behind. */
  taint(): void
}

/** What a statement cost, counted where it ran. */
export interface StatementCost {
  readonly kind: StatementKind
  readonly rows: number
  readonly bytes: number
  /** Rows the tripwire looked at. */
  readonly checkedRows: number
  /** From sending to the last byte of the answer, in milliseconds. */
  readonly elapsedMs: number
}

export type StatementCallback = (error: Error | undefined, result: QueryResult | undefined, cost: StatementCost) => void

/**
 * A query with its tenant's context in front of it and the cleaning behind it, in one flush, before one Sync.
 *
 * Sent by `pg` like any other query. The answers to what is around it are swallowed here, so that the caller sees the
 * result of the statement alone. Always the extended protocol: stacked statements are refused.
 */
export class ScopedQuery extends WireQuery {
  readonly context: TenantContext
  readonly kind: StatementKind
  readonly after: string | undefined
  readonly #host: ScopeHost
  readonly #done: StatementCallback
  readonly #source: string | undefined
  #connection: WireConnection | undefined
  #watch: RowWatch | undefined
  #checkedRows = 0
  #owedCommands = 0
  #tail: Buffer | undefined
  #answered = false
  #bytes = 0
  #sentAt = 0
  #settled = false

  constructor(statement: Statement, context: TenantContext, host: ScopeHost, done: StatementCallback) {
    super({ ...statement, queryMode: 'extended' })
    this.context = context
    this.kind = statement.kind
    this.after = statement.after
    this.#host = host
    this.#done = done
    this.#source = statement.source
    this.callback = (error, result) => this.#settle(error ?? undefined, result)
  }

  override requiresPreparation(): boolean {
    return true
  }

  override prepare(connection: WireConnection): void {
    this.#sentAt = performance.now()
    this.#connection = connection
    const preamble = this.#host.openScope(this)
    this.name ??= this.#host.statementName(this, connection)
    if (preamble !== undefined) {
      this.#owedCommands = preamble.commands
      this.#tail = preamble.tail
      if (preamble.bytes.length > 0) connection._send(preamble.bytes)
    }
    super.prepare(connection)
  }

  /** Called by `pg` where the statement's Execute and the Sync go out. */
  override _getRows(connection: WireConnection): void {
    connection.execute({ portal: this.portal ?? '' })
    if (this.#tail !== undefined) connection._send(this.#tail)
    connection.sync()
  }

  override handleEmptyQuery(connection: WireConnection): void {
    this.#answered = true
    super.handleEmptyQuery(connection)
  }

  override handleRowDescription(message: RowDescriptionMessage): void {
    this.#watch = this.#host.tripwire.watch(message.fields, this.context.tenant.id)
    super.handleRowDescription(message)
  }

  override handleDataRow(message: DataRowMessage): void {
    if (this.#owedCommands > 0 || this.#settled) return
    this.#bytes += message.length
    if (this.#watch !== undefined && this.#trips(this.#watch, message)) return
    super.handleDataRow(message)
  }

  override handleCommandComplete(message: CommandCompleteMessage, connection: WireConnection): void {
    if (this.#owedCommands > 0) {
      this.#owedCommands--
      return
    }
    if (this.#answered) return
    this.#answered = true
    if (this.kind === 'other' && leavesTraces(this.text, message.text)) this.#host.taint()
    super.handleCommandComplete(message, connection)
  }

  /** Returns true when the row must not be delivered: the statement has failed by then and its connection is gone. */
  #trips(watch: RowWatch, message: DataRowMessage): boolean {
    this.#checkedRows++
    const finding = watch.find(message.fields)
    if (finding === undefined) return false
    // One alarm per statement: a table without its policy would raise one per row.
    this.#watch = undefined
    const text = this.#source ?? this.text
    const error = this.#host.tripwire.trip(finding, this.context, text, this.#host.backendPid())
    if (error === undefined) return false
    // First the cut: settling lets waiting statements in, and none of them may take this connection.
    if (this.#connection !== undefined) this.#host.cut(this.#connection, connectionCut())
    this.#settle(error, undefined)
    return true
  }

  /** `pg` may call back twice when binding fails: once for the error, once for ReadyForQuery. */
  #settle(error: Error | undefined, result: QueryResult | undefined): void {
    if (this.#settled) return
    this.#settled = true
    const rows = result?.rowCount ?? 0
    const elapsedMs = performance.now() - this.#sentAt
    this.#done(error, result, { kind: this.kind, rows, bytes: this.#bytes, checkedRows: this.#checkedRows, elapsedMs })
  }
}
