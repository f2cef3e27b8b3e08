import type { Readable } from 'node:stream'
import type { QueryResultRow } from 'pg'
import type { TenantContext } from '../context/tenant-context.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import { copyOut, type ReadOptions, readBatches } from './read-stream.ts'
import type { Router } from './router.ts'
import { toStatement } from './scoped-client.ts'
import { assertReadsFrom, createStatements, type RunStatement, type Statements, withTimeout } from './statements.ts'
import { runTransaction, type Transaction, type TransactionOptions } from './transaction.ts'

/** A tenant's database: sees and writes that tenant's rows and no others. */
export interface ScopedDb extends Statements {
  /**
   * Runs `fn` in one transaction; commits when it resolves, rolls back when it throws.
   *
   * Another tenant cannot be entered inside. `tx.transaction()` makes a savepoint.
   *
   * @throws {UnavailableError} `ERR_TRANSACTION_CONFLICT` when concurrent work won; running it again is safe
   */
  transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T>
  transaction<T>(options: TransactionOptions, fn: (tx: Transaction) => Promise<T>): Promise<T>
  /** Reads a large result in batches, over one connection and one snapshot; ends the read when the loop is left. */
  cursor<R extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: ReadOptions,
  ): AsyncGenerator<R[], void, undefined>
  /** Streams `COPY (…) TO STDOUT`; policies hold for COPY as for SELECT. Destroying the stream ends the read. */
  copyOut(text: string): Promise<Readable>
}

/**
 * Makes a tenant's database from an router.
 *
 * @param contextOf  called at each call, so that the tenant is the one of the calling code
 */
export function createScopedDb(router: Router, contextOf: () => TenantContext): ScopedDb {
  const run: RunStatement = async (text, values, options = {}) => {
    const context = contextOf()
    assertReadsFrom(options.reads)
    try {
      return await router.run(withTimeout(context, options.timeoutMs), toStatement(text, values), options)
    } catch (error) {
      throw toRowhouseError(error, context.tenant.id)
    }
  }
  return {
    ...createStatements(run),
    transaction: async (first: unknown, second?: unknown) => {
      const [options, fn] = typeof first === 'function' ? [{}, first] : [first ?? {}, second]
      return runTransaction(router, contextOf(), options as TransactionOptions, fn as never)
    },
    cursor: (text, values, options) => readBatches(router, contextOf(), text, values, options) as never,
    copyOut: async (text) => copyOut(router, contextOf(), text),
  }
}
