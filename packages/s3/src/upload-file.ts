import { PassThrough } from 'node:stream'
import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import type { Bucket } from './bucket.ts'
import { isNoSuchKey } from './s3-error.ts'

/** As many as S3 takes of one object. */
const MAX_PARTS = 10_000
/** Parts in flight: what is in memory of a file is these, the one that fills and the one that is put together. */
const PARTS_AT_ONCE = 2

/** An object that is being written. It is there when `finish` returns, or not at all. */
export interface FileUpload {
  write(bytes: Buffer): Promise<void>
  /** Returns when the service has the whole object. */
  finish(): Promise<void>
  /** Ends the upload and has the service forget its parts. */
  abort(): Promise<void>
}

/**
 * Begins an object that replaces none: `If-None-Match` refuses it where one of its key has come to be meanwhile.
 *
 * @param writer  stands in the object's metadata, so that who loses the answer finds out whose object it is
 */
export function beginUpload(place: Bucket, key: string, writer: string): FileUpload {
  const { client, bucket, partBytes } = place
  const body = new PassThrough({ highWaterMark: partBytes / 4 })
  // Said by the upload, with its cause.
  body.on('error', () => {})
  const upload = new Upload({
    client,
    params: { Bucket: bucket, Key: key, Body: body, IfNoneMatch: '*', Metadata: { [WRITER]: writer } },
    partSize: partBytes,
    queueSize: PARTS_AT_ONCE,
  })
  const done = upload.done()
  done.catch(() => body.destroy())
  let bytes = 0
  return {
    write: async (chunk) => {
      bytes += chunk.length
      if (bytes > partBytes * MAX_PARTS)
        throw new Error(
          `"${key}" has more than ${MAX_PARTS} parts of ${partBytes} bytes, which S3 does not take; set partMiB higher`,
        )
      if (body.write(chunk)) return
      await Promise.race([new Promise((resolve) => body.once('drain', resolve)), done])
    },
    finish: async () => {
      body.end()
      await done.catch(async (error) => {
        // An answer may be lost, and the attempt after it be refused because the one before did it all.
        if ((await findWriter(place, key, writer)) !== 'ours') throw error
      })
    },
    abort: async () => {
      body.destroy(new Error('the upload is given up'))
      await done.catch(() => {})
    },
  }
}

/** Name of the metadata that says who wrote an object. */
const WRITER = 'rowhouse-writer'

/** Tells who wrote the object of a key; `unknown` when the service does not say. */
export async function findWriter(
  { client, bucket }: Bucket,
  key: string,
  writer: string,
): Promise<'ours' | 'other' | 'nobody' | 'unknown'> {
  return client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).then(
    ({ Metadata }) => (Metadata?.[WRITER] === writer ? 'ours' : 'other'),
    (error) => (isNoSuchKey(error) ? 'nobody' : 'unknown'),
  )
}
