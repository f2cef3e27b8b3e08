import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'

/** Bytes of rows that wait for their reader before PostgreSQL is kept waiting. */
const BUFFERED_BYTES = 256 * 1024

/** Runs a `COPY … TO STDOUT` and yields what it writes. Whoever stops reading early has to close the connection. */
export async function* copyOut(client: pg.ClientBase, text: string): AsyncGenerator<Buffer> {
  const stream = client.query(copyTo(text, { highWaterMark: BUFFERED_BYTES }))
  // A connection that is lost after the last read reports it to nobody else, and would end the process.
  stream.on('error', () => {})
  for await (const chunk of stream) yield chunk as Buffer
}

/** Runs a `COPY … FROM STDIN` with these bytes. Returns how many rows PostgreSQL took. */
export async function copyIn(client: pg.ClientBase, text: string, rows: AsyncIterable<Buffer>): Promise<number> {
  const stream = client.query(copyFrom(text))
  stream.on('error', () => {})
  await pipeline(Readable.from(rows, { objectMode: true, highWaterMark: 1 }), stream)
  return stream.rowCount
}
