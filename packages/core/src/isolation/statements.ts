import type { QueryResult, QueryResultRow } from 'pg'
import type { ReadsFrom, TenantContext } from '../context/tenant-context.ts'
import { StatementError } from '../errors.ts'

export interface StatementOptions {
  /** Aborting it cancels the statement in the database. */
  readonly signal?: AbortSignal
  /** Upper bound for this statement in the database, in milliseconds, 1–3 600 000. @defaultValue the pool's 30 000 */
  readonly timeoutMs?: number
  /**
   * `replica` allows a read (SELECT, VALUES, TABLE) to go to a replica that shows what it has to see; `primary` also says
   * that it may write, as a SELECT of a function may. Other statements always go to the primary.
   * @defaultValue what `withTenant()` says, which is 'primary' by default
   */
  readonly reads?: ReadsFrom
}

/** The four ways to read the result of one statement. Values travel as parameters `$1`, `$2`, … */
export interface Statements {
  /** Runs a statement and returns everything PostgreSQL said about it. */
  query<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: StatementOptions,
  ): Promise<QueryResult<R>>
  /** Runs a statement and returns its rows, in the order of the statement; empty when there are none. */
  many<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: StatementOptions,
  ): Promise<R[]>
  /** Runs a statement and returns its only row. @throws {StatementError} `ERR_ROW_COUNT` when there is none or more than one */
  one<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: StatementOptions,
  ): Promise<R>
  /** Runs a statement and returns its only row, or undefined. @throws {StatementError} `ERR_ROW_COUNT` when there is more than one */
  maybeOne<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: StatementOptions,
  ): Promise<R | undefined>
}

export type RunStatement = (
  text: string,
  values?: readonly unknown[],
  options?: StatementOptions,
) => Promise<QueryResult>

/** Builds the four result shapes on one way to run a statement. */
export function createStatements(run: RunStatement): Statements {
  const rows = async (text: string, values?: readonly unknown[], options?: StatementOptions) =>
    (await run(text, values, options)).rows
  return {
    query: (text, values, options) => run(text, values, options) as never,
    many: rows as Statements['many'],
    one: (async (text: string, values?: readonly unknown[], options?: StatementOptions) => {
      const found = await rows(text, values, options)
      if (found.length !== 1) throw rowCount('one', found.length)
      return found[0]
    }) as Statements['one'],
    maybeOne: (async (text: string, values?: readonly unknown[], options?: StatementOptions) => {
      const found = await rows(text, values, options)
      if (found.length > 1) throw rowCount('maybeOne', found.length)
      return found[0]
    }) as Statements['maybeOne'],
  }
}

function rowCount(method: string, found: number): StatementError {
  const wanted = method === 'one' ? 'exactly one' : 'at most one'
  return new StatementError(
    'ERR_ROW_COUNT',
    `Cannot return the result of ${method}(): found ${found} rows, wanted ${wanted}`,
  )
}

const MAX_TIMEOUT_MS = 3_600_000

/** @throws {TypeError} for anything but `primary`, `replica` and undefined */
export function assertReadsFrom(reads: unknown): void {
  if (reads === undefined || reads === 'primary' || reads === 'replica') return
  throw new TypeError(`Cannot read from "${reads}": wanted 'primary' or 'replica'`)
}

/** Returns the context with a timeout of its own. @throws {RangeError} when it is not 1–3 600 000 milliseconds */
export function withTimeout(context: TenantContext, timeoutMs: number | undefined): TenantContext {
  if (timeoutMs === undefined) return context
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
    throw new RangeError(`Cannot use a timeout of ${timeoutMs} ms: wanted a whole number from 1 to ${MAX_TIMEOUT_MS}`)
  }
  return { ...context, timeoutMs }
}
