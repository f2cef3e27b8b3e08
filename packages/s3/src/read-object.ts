import { GetObjectCommand } from '@aws-sdk/client-s3'
import type { Bucket } from './bucket.ts'

/** How often a download that broke off is taken up again without this much in between. */
const RESUMES = 4
const PROGRESS_BYTES = 1024 * 1024

/**
 * Yields the bytes of an object. What breaks off goes on where it stopped, and only in the same object: its ETag has to be the
 * same.
 */
export async function* readObject({ client, bucket }: Bucket, key: string): AsyncGenerator<Buffer> {
  let etag: string | undefined
  let got = 0
  for (let left = RESUMES; ; left -= 1) {
    const part = await client.send(
      new GetObjectCommand({
        Bucket: bucket,
        Key: key,
        ...(got > 0 && { Range: `bytes=${got}-` }),
        ...(etag !== undefined && { IfMatch: etag }),
      }),
    )
    etag = part.ETag
    const start = got
    const end = got + (part.ContentLength ?? Number.NaN)
    const body = part.Body as unknown as AsyncIterable<Buffer>
    try {
      for await (const chunk of body) {
        got += chunk.length
        if (got - start >= PROGRESS_BYTES) left = RESUMES
        yield chunk
      }
      // A connection that is closed early looks like the end of the stream to some.
      if (Number.isNaN(end) || got === end) return
      throw new Error(`the download broke off after ${got} of ${end} bytes`)
    } catch (error) {
      // With every byte here, what failed is the checksum.
      if (left <= 0 || got === end) throw error
    }
  }
}
