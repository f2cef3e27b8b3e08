import type { S3Client } from '@aws-sdk/client-s3'
import { ConfigError } from 'rowhouse'

/** Where artefacts are, and how to get there. */
export interface Bucket {
  readonly client: S3Client
  readonly bucket: string
  /** What every key begins with; empty, or ends with a slash. */
  readonly prefix: string
  readonly partBytes: number
}

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
/** Access points are named like this and take the place of a bucket. */
const ACCESS_POINT = /^arn:[a-z-]+:s3[a-z-]*:\S+$/
/** Keys have 1,024 bytes at most; an artefact's own part takes some 80 of them. */
const MAX_PREFIX_BYTES = 900
/** Control characters come back from lists as something else; a backslash is a slash to some. */
const UNLISTED = /[\p{Cc}\\]/u

/** @throws {ConfigError} `ERR_CONFIG_INVALID` */
export function requireBucketName(bucket: string): string {
  if (BUCKET_NAME.test(bucket) || ACCESS_POINT.test(bucket)) return bucket
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot keep backups in bucket "${bucket}": wanted the name of a bucket, or the ARN of an access point`,
  )
}

/**
 * Returns the prefix with one slash at its end. Parts that a file system would take for another folder are refused: whoever
 * copies the bucket to a disk would write outside of where they meant to.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID`
 */
export function requirePrefix(prefix: string): string {
  const trimmed = prefix.replace(/^\/|\/$/g, '')
  if (trimmed === '') return ''
  const parts = trimmed.split('/')
  const isPlain = (part: string) => part !== '' && part !== '.' && part !== '..' && !UNLISTED.test(part)
  if (parts.every(isPlain) && Buffer.byteLength(trimmed) <= MAX_PREFIX_BYTES) return `${trimmed}/`
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot keep backups below ${JSON.stringify(prefix)}: wanted names with a slash between them, ${MAX_PREFIX_BYTES} bytes at most, none of them empty, "." or ".."`,
  )
}
