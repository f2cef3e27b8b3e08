/**
 * The parts of `pg` 8.23 that its types do not describe and Rowhouse relies on, named in one place.
 *
 * `pg` has no public hook to put messages in front of a statement within one Sync; its Query class is the
 * documented extension point (Submittable) but its methods are untyped. The version is pinned exactly, and
 * `test/isolation/protocol.test.ts` counts the messages, so a change of these internals fails loudly.
 */
import pg from 'pg'

/** A connection's wire: `pg/lib/connection.js`. */
export interface WireConnection {
  readonly stream: NodeJS.WritableStream & {
    readonly writable: boolean
    cork?(): void
    uncork?(): void
    destroy(error?: Error): void
  }
  parsedStatements: Record<string, string>
  submittedNamedStatements: Record<string, string>
  parse(message: { text: string; name?: string | undefined; types?: readonly number[] | undefined }): void
  bind(message: { statement?: string; portal?: string; values?: readonly unknown[]; binary?: boolean }): void
  execute(message: { portal?: string; rows?: number }): void
  describe(message: { type: 'P' | 'S'; name?: string }): void
  close(message: { type: 'P' | 'S'; name: string }): void
  sync(): void
  _send(buffer: Buffer): boolean
  on(event: string, listener: (message: never) => void): void
}

export interface CommandCompleteMessage {
  readonly text: string
}

export interface DataRowMessage {
  /** Bytes of the message on the wire. */
  readonly length: number
  /** Values as text, also those in binary; null is SQL's. */
  readonly fields: readonly (string | null)[]
}

/** A column of a result, as PostgreSQL describes it before the first row. */
export interface FieldDescription {
  readonly name: string
  readonly dataTypeID: number
  readonly format: 'text' | 'binary'
}

export interface RowDescriptionMessage {
  readonly fields: readonly FieldDescription[]
}

export interface QueryConfig {
  readonly text: string
  readonly values?: readonly unknown[] | undefined
  readonly name?: string | undefined
  readonly rowMode?: 'array' | undefined
  readonly types?: unknown
}

export type QueryCallback = (error: Error | null | undefined, result?: pg.QueryResult) => void

/** `pg/lib/query.js`. */
export interface WireQuery {
  text: string
  name: string | undefined
  values: readonly unknown[] | undefined
  queryMode: 'extended' | undefined
  portal: string | undefined
  callback: QueryCallback | undefined
  requiresPreparation(): boolean
  prepare(connection: WireConnection): void
  handleRowDescription(message: RowDescriptionMessage): void
  handleDataRow(message: DataRowMessage): void
  handleCommandComplete(message: CommandCompleteMessage, connection: WireConnection): void
  handleEmptyQuery(connection: WireConnection): void
  handleError(error: Error, connection: WireConnection): void
  handleReadyForQuery(connection: WireConnection): void
  submit(connection: WireConnection): Error | null
  /** Sends Execute and Sync. */
  _getRows(connection: WireConnection): void
}

export const WireQuery = (pg as unknown as { Query: unknown }).Query as new (
  config: QueryConfig & { queryMode?: 'extended' },
  values?: readonly unknown[],
  callback?: QueryCallback,
) => WireQuery

/** What `pg` calls on a query object that is not its own: a cursor, a stream of rows. */
export interface ForeignQuery {
  readonly text?: string
  submit(connection: WireConnection): Error | null | undefined
  handleRowDescription(message: RowDescriptionMessage): void
  handleDataRow(message: DataRowMessage): void
  handlePortalSuspended(connection: WireConnection): void
  handleCommandComplete(message: CommandCompleteMessage, connection: WireConnection): void
  handleReadyForQuery(connection: WireConnection): void
  handleEmptyQuery(connection: WireConnection): void
  handleError(error: Error, connection: WireConnection): void
}

/** What is read of `pg/lib/client.js` besides its typed surface. */
export interface ClientInternals {
  readonly connection: WireConnection
  readonly processID: number | null
  readonly secretKey: number | null
  /** Protocol transaction status of the last ReadyForQuery: idle, in transaction, failed transaction. */
  readonly _txStatus: 'I' | 'T' | 'E' | null
  readonly _queryable: boolean
  readonly _ending: boolean
}
