import type { Readable } from 'node:stream'
import type { PoolClient, QueryResultRow } from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import type { TenantContext } from '../context/tenant-context.ts'
import { StatementError } from '../errors.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import { ASSERT_RESIDENT } from './context-statement.ts'
import type { Router } from './router.ts'
import type { ScopedClient } from './scoped-client.ts'
import { Block } from './transaction.ts'

export interface ReadOptions {
  /** Rows per batch, 1–100 000. @defaultValue 1 000 */
  readonly batchRows?: number
  /** Aborting it ends the read. */
  readonly signal?: AbortSignal
}

/** Reads a result batch by batch from a cursor in a read-only transaction. */
export async function* readBatches(
  router: Router,
  context: TenantContext,
  text: string,
  values: readonly unknown[] = [],
  { batchRows = 1_000, signal }: ReadOptions = {},
): AsyncGenerator<QueryResultRow[], void, undefined> {
  if (!Number.isInteger(batchRows) || batchRows < 1 || batchRows > 100_000) {
    throw new RangeError(`Cannot read batches of ${batchRows} rows: wanted a whole number from 1 to 100 000`)
  }
  const block = await openReadOnly(router, context, signal)
  const onAbort = () => void block.cancel()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await block.run(`declare rowhouse_cursor no scroll cursor for ${text}`, values)
    for (;;) {
      const { rows } = await block.run(`fetch ${batchRows} from rowhouse_cursor`, undefined, text)
      if (rows.length > 0) yield rows
      if (rows.length < batchRows) break
    }
    await block.run('commit')
  } catch (error) {
    if (!signal?.aborted) throw error
    throw new StatementError('ERR_STATEMENT_CANCELLED', 'Cannot finish the read: it was cancelled by its AbortSignal', {
      tenantId: context.tenant.id,
      cause: signal.reason,
    })
  } finally {
    signal?.removeEventListener('abort', onAbort)
    await block.rollBack()
    block.end()
  }
}

/** Streams COPY … TO STDOUT from a read-only transaction; the connection goes back when the stream ends. */
export async function copyOut(router: Router, context: TenantContext, text: string): Promise<Readable> {
  if (!/^\s*copy\b[\s\S]*\bto\s+stdout\b/i.test(text)) {
    throw new StatementError(
      'ERR_STATEMENT_REFUSED',
      'Cannot stream this statement: wanted "COPY (SELECT …) TO STDOUT"',
    )
  }
  const block = await openReadOnly(router, context)
  try {
    return streamOut(block, block.client, text)
  } catch (error) {
    await block.rollBack()
    block.end()
    throw error
  }
}

function streamOut(block: Block, client: ScopedClient & PoolClient, text: string): Readable {
  const stream = client.runForeign(copyTo(text))
  let ended = false
  stream.once('end', () => {
    ended = true
    void block.rollBack().finally(() => block.end())
  })
  stream.once('close', () => {
    if (ended) return
    ended = true
    void block.cancel().finally(() => block.end())
  })
  return stream
}

async function openReadOnly(router: Router, context: TenantContext, signal?: AbortSignal): Promise<Block> {
  const scoped = { ...context, readOnly: true }
  const client = await router.checkOut(scoped, signal).catch((error) => {
    throw toRowhouseError(error, context.tenant.id)
  })
  const block = new Block(client, scoped)
  const onAbort = () => void block.cancel()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await block.run('begin isolation level repeatable read read only')
    // A cursor asks nothing of the tables before its first rows are fetched, and COPY cannot carry the context: this
    // statement does both, while the read can still go where the tenant lives.
    await block.run(ASSERT_RESIDENT)
    return block
  } catch (error) {
    block.end()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
