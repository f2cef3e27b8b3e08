import type { PoolClient, QueryResult } from 'pg'
import { runInTransaction, settleInside, type TenantContext } from '../context/tenant-context.ts'
import { StatementError } from '../errors.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import type { Router } from './router.ts'
import { type ScopedClient, toStatement } from './scoped-client.ts'
import { createStatements, type RunStatement, type Statements, withTimeout } from './statements.ts'

export type IsolationLevel = 'read committed' | 'repeatable read' | 'serializable'

export interface TransactionOptions {
  /** @defaultValue 'read committed' */
  readonly isolation?: IsolationLevel
  /** Refuses every write in this transaction. @defaultValue false */
  readonly readOnly?: boolean
  /** With serializable and readOnly: waits for a snapshot that cannot conflict. @defaultValue false */
  readonly deferrable?: boolean
  /** Upper bound for each statement, in milliseconds. @defaultValue the pool's */
  readonly timeoutMs?: number
  /** Aborting it cancels the running statement and rolls the transaction back. */
  readonly signal?: AbortSignal
}

/** A transaction block of one tenant. Unusable after it has ended. */
export interface Transaction extends Statements {
  /** Runs `fn` inside a savepoint: an error undoes its work and leaves the outer transaction usable. */
  transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T>
}

/** Runs `fn` between BEGIN and COMMIT on a connection of its own. */
export async function runTransaction<T>(
  router: Router,
  context: TenantContext,
  options: TransactionOptions,
  fn: (tx: Transaction) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted()
  const scoped = withTimeout(options.readOnly ? { ...context, readOnly: true } : context, options.timeoutMs)
  return withBlock(router, scoped, options, (block) =>
    runInTransaction(context, () => settleInside(() => fn(block.transaction()))),
  )
}

/** Opens a block, hands it to `fn`, ends it, and gives the connection back or away: whatever happens in between. */
async function withBlock<T>(
  router: Router,
  context: TenantContext,
  options: TransactionOptions,
  fn: (block: Block) => Promise<T>,
): Promise<T> {
  const client = await router.checkOut(context, options.signal).catch((error) => {
    throw toRowhouseError(error, context.tenant.id)
  })
  const block = new Block(client, context)
  const onAbort = () => void block.cancel()
  options.signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await block.run(beginText(options, context.readOnly))
    const result = await fn(block)
    options.signal?.throwIfAborted()
    await block.run('commit')
    return result
  } catch (error) {
    await block.rollBack()
    throw options.signal?.aborted ? cancelled(context, options.signal) : error
  } finally {
    options.signal?.removeEventListener('abort', onAbort)
    block.end()
  }
}

const ISOLATION_LEVELS: ReadonlySet<string> = new Set(['read committed', 'repeatable read', 'serializable'])

function beginText({ isolation = 'read committed', deferrable }: TransactionOptions, readOnly: boolean): string {
  if (!ISOLATION_LEVELS.has(isolation)) {
    throw new TypeError(
      `Cannot begin a transaction with isolation "${isolation}": wanted ${[...ISOLATION_LEVELS].join(', ')}`,
    )
  }
  return `begin isolation level ${isolation} ${readOnly ? 'read only' : 'read write'}${deferrable ? ' deferrable' : ''}`
}

/** Codes after which nothing more can be sent on the connection. */
const CONNECTION_GONE: ReadonlySet<unknown> = new Set(['ERR_DATABASE_UNAVAILABLE', 'ERR_ISOLATION_TRIPWIRE'])

/** A transaction block on a checked-out connection. */
export class Block {
  readonly client: ScopedClient & PoolClient
  readonly #context: TenantContext
  #savepoints = 0
  #broken = false
  #ended = false

  constructor(client: ScopedClient & PoolClient, context: TenantContext) {
    this.client = client
    this.#context = context
  }

  /** `source` is the statement an alarm names where `text` only fetches its rows. */
  async run(text: string, values?: readonly unknown[], source?: string): Promise<QueryResult> {
    if (this.#ended)
      throw new StatementError('ERR_STATEMENT_REFUSED', 'Cannot run a statement in this transaction: it has ended')
    try {
      return await this.client.run(this.#context, { ...toStatement(text, values), source })
    } catch (error) {
      const known = toRowhouseError(error, this.#context.tenant.id)
      if (CONNECTION_GONE.has((known as { code?: unknown }).code)) this.#broken = true
      throw known
    }
  }

  transaction(): Transaction {
    const run: RunStatement = (text, values, options) => {
      if (options?.signal !== undefined || options?.timeoutMs !== undefined) {
        throw new TypeError(
          'Cannot give one statement of a transaction its own signal or timeout: give them to transaction()',
        )
      }
      if (options?.reads === 'replica')
        throw new TypeError(
          'Cannot read from a replica inside a transaction: it runs on the primary; read outside of it',
        )
      return this.run(text, values)
    }
    return { ...createStatements(run), transaction: (fn) => this.#savepoint(fn) }
  }

  async rollBack(): Promise<void> {
    if (this.#broken) return
    await this.run('rollback').catch(() => {
      this.#broken = true
    })
  }

  /** Stops what runs now. The connection is closed afterwards, so that a late signal hits nobody else. */
  async cancel(): Promise<void> {
    this.#broken = true
    await this.client.cancel()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.client.release(this.#broken)
  }

  async #savepoint<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    const name = `rowhouse_${++this.#savepoints}`
    await this.run(`savepoint ${name}`)
    try {
      const result = await fn(this.transaction())
      await this.run(`release savepoint ${name}`)
      return result
    } catch (error) {
      if (!this.#broken) await this.run(`rollback to savepoint ${name}`)
      throw error
    }
  }
}

function cancelled(context: TenantContext, signal: AbortSignal): StatementError {
  return new StatementError(
    'ERR_STATEMENT_CANCELLED',
    'Cannot finish the transaction: it was cancelled by its AbortSignal',
    {
      tenantId: context.tenant.id,
      cause: signal.reason,
    },
  )
}
