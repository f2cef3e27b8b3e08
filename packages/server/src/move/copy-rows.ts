import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import type { TenantTable } from '../tenant-data/tenant-tables.ts'

/** Rows and bytes that went over. */
export interface Copied {
  readonly rows: number
  readonly bytes: number
}

/**
 * Copies what a query yields into a table, as PostgreSQL writes and reads it, without looking into it.
 *
 * @param query  yields the columns of `into.columnList`; spliced, so built from quoted names and literals only
 * @param onBytes  told of every piece, for people who wait
 */
export async function pipeRows(
  from: pg.PoolClient,
  query: string,
  to: pg.PoolClient,
  into: TenantTable,
  onBytes: (bytes: number) => void = () => {},
): Promise<Copied> {
  let bytes = 0
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
  const target = to.query(copyFrom(`copy ${into.from.replace(/^only /, '')} (${into.columnList}) from stdin`))
  await pipeline(from.query(copyTo(`copy (${query}) to stdout`)), count, target)
  return { rows: target.rowCount ?? 0, bytes }
}
