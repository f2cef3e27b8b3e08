import {
  type _Object,
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type MultipartUpload,
  paginateListParts,
} from '@aws-sdk/client-s3'
import type { Bucket } from './bucket.ts'

/** As many as one request may name. */
const DELETE_AT_ONCE = 1_000

/** Yields every object whose key begins with `prefix`, page by page. */
export async function* listObjects({ client, bucket }: Bucket, prefix: string): AsyncGenerator<_Object> {
  for (let token: string | undefined; ; ) {
    const page = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        ...(token !== undefined && { ContinuationToken: token }),
      }),
    )
    yield* page.Contents ?? []
    token = page.NextContinuationToken
    if (page.IsTruncated !== true) return
    // Believed to be the end, this would hide backups.
    if (token === undefined) throw new Error('the service says that a list goes on, and not where')
  }
}

/** @throws {Error} naming the first key that could not be deleted */
export async function deleteObjects({ client, bucket }: Bucket, keys: readonly string[]): Promise<void> {
  for (let from = 0; from < keys.length; from += DELETE_AT_ONCE) {
    const Objects = keys.slice(from, from + DELETE_AT_ONCE).map((Key) => ({ Key }))
    const { Errors = [] } = await client.send(
      new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
    )
    const [first] = Errors
    if (first !== undefined)
      throw Object.assign(new Error(`"${first.Key}" is not deleted: ${first.Message}`), { name: first.Code ?? 'Error' })
  }
}

/** Yields uploads that were begun and neither completed nor aborted. */
export async function* listUploads({ client, bucket, prefix }: Bucket): AsyncGenerator<MultipartUpload> {
  let markers = {}
  for (;;) {
    const page = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...markers }))
    yield* page.Uploads ?? []
    if (page.IsTruncated !== true) return
    markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
  }
}

/** When an upload was begun, or its last part arrived. */
export async function lastPartAt({ client, bucket }: Bucket, upload: MultipartUpload): Promise<number> {
  let newest = upload.Initiated?.getTime() ?? 0
  const input = { Bucket: bucket, Key: upload.Key, UploadId: upload.UploadId }
  for await (const { Parts = [] } of paginateListParts({ client }, input)) {
    for (const { LastModified } of Parts) newest = Math.max(newest, LastModified?.getTime() ?? 0)
  }
  return newest
}

export async function abortUpload({ client, bucket }: Bucket, { Key, UploadId }: MultipartUpload): Promise<void> {
  await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }))
}
