import type pg from 'pg'
import { copyIn, copyOut } from '../tenant-data/copy-rows.ts'
import type { TenantTable } from '../tenant-data/tenant-tables.ts'

/**
 * Copies what a query yields into a table, as PostgreSQL writes and reads it, without looking into it. Returns how many
 * rows went over.
 *
 * @param query  yields the columns of `into.columnList`; spliced, so built from quoted names and literals only
 * @param onBytes  told of every piece, for people who wait
 */
export function pipeRows(
  from: pg.PoolClient,
  query: string,
  to: pg.PoolClient,
  into: TenantTable,
  onBytes: (bytes: number) => void = () => {},
): Promise<number> {
  const rows = counted(copyOut(from, `copy (${query}) to stdout`), onBytes)
  return copyIn(to, `copy ${into.from.replace(/^only /, '')} (${into.columnList}) from stdin`, rows)
}

async function* counted(chunks: AsyncIterable<Buffer>, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    onBytes(chunk.length)
    yield chunk
  }
}
