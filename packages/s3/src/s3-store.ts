import { type _Object, type MultipartUpload, S3Client } from '@aws-sdk/client-s3'
import { ArtefactError } from 'rowhouse'
import { ARTEFACT_FILE, ARTEFACT_NAME, type ArtefactStore, MANIFEST } from 'rowhouse-server'
import { beginArtefact } from './begin-artefact.ts'
import { type Bucket, requireBucketName, requirePrefix } from './bucket.ts'
import { abortUpload, deleteObjects, lastPartAt, listObjects, listUploads } from './objects.ts'
import { readObject } from './read-object.ts'
import { isNoSuchKey, toStoreError } from './s3-error.ts'

/** Which bucket, and how to reach it. Credentials are not among these: the SDK finds them in environment, files or role. */
export interface S3StoreOptions {
  /** Name of a bucket that is there, or the ARN of an access point. */
  readonly bucket: string
  /** What keys begin with, e.g. `backups/production`. @defaultValue none */
  readonly prefix?: string
  /** @defaultValue as the SDK finds it: AWS_REGION, or the profile */
  readonly region?: string
  /** URL of a service that speaks S3. @defaultValue AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL; Amazon's own without both */
  readonly endpoint?: string
  /** Whether the bucket stands in the path instead of the host. @defaultValue true with an endpoint, false without */
  readonly forcePathStyle?: boolean
  /** Size of the parts large files are sent in, 5 to 1,024 MiB. A table's file has 10,000 of them at most, and a few are in memory. @defaultValue 16 */
  readonly partMiB?: number
  /** How often a request is tried, 1 to 20. @defaultValue 5 */
  readonly maxAttempts?: number
}

const MIB = 1024 * 1024
/** Neither a service that does not answer nor one that stops in the middle is waited for any longer. */
const CONNECT_TIMEOUT_MS = 10_000
const SILENCE_TIMEOUT_MS = 60_000

/**
 * Keeps artefacts in a bucket of S3, or of whatever speaks its language, laid out as `folderStore` has them. One is there with
 * its manifest, which is written last; no object is ever replaced, where the service knows `If-None-Match`.
 *
 * What it fails with is an `ArtefactError`: `ERR_ARTEFACT_NOT_FOUND` for a name that is none or not there,
 * `ERR_ARTEFACT_DAMAGED` for a file that is gone, and `ERR_ARTEFACT_STORE` for everything about the bucket: it does not exist,
 * denies access, lies in another region, cannot be reached, or asks to slow down. Opens no connection before it is used.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a bucket or prefix that can be none
 * @throws {RangeError} for a size or number out of its range
 * @example
 * ```ts
 * import { s3Store } from 'rowhouse-s3'
 * const store = s3Store({ bucket: 'acme-backups', prefix: 'production', region: 'eu-central-1' })
 * console.assert(typeof store.list === 'function')
 * ```
 */
export function s3Store(options: S3StoreOptions): ArtefactStore {
  const place = toBucket(options)
  const { bucket } = place
  const coded = async <T>(doing: string, work: Promise<T>): Promise<T> =>
    work.catch((error) => {
      throw toStoreError(doing, bucket, error)
    })
  return {
    list: (tenantId) => coded('list backups', list(place, tenantId)),
    begin: async (name) => beginArtefact(place, requireName(name)),
    read: (name, file) => read(place, name, file),
    remove: (name) => coded(`remove "${name}"`, remove(place, name)),
    sweep: (before) => coded('remove unfinished backups', sweep(place, before.getTime())),
  }
}

function toBucket({ bucket, prefix = '', partMiB = 16, maxAttempts = 5, ...rest }: S3StoreOptions): Bucket {
  requireWhole('partMiB', partMiB, 5, 1_024)
  requireWhole('maxAttempts', maxAttempts, 1, 20)
  const endpoint = rest.endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL
  const place = { bucket: requireBucketName(bucket), prefix: requirePrefix(prefix), partBytes: partMiB * MIB }
  const client = new S3Client({
    maxAttempts,
    forcePathStyle: rest.forcePathStyle ?? endpoint !== undefined,
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: SILENCE_TIMEOUT_MS },
    ...(rest.region !== undefined && { region: rest.region }),
    ...(endpoint !== undefined && { endpoint }),
  })
  return { ...place, client }
}

async function list(place: Bucket, tenantId: string | undefined): Promise<string[]> {
  const found: string[] = []
  for await (const { Key = '' } of listObjects(
    place,
    `${place.prefix}${tenantId === undefined ? '' : `${tenantId}/`}`,
  )) {
    const { name, file } = splitKey(place, Key)
    if (file === MANIFEST) found.push(name)
  }
  return found.sort((a, b) => (a.slice(37) < b.slice(37) ? -1 : 1))
}

async function* read(place: Bucket, name: string, file: string): AsyncGenerator<Buffer> {
  try {
    requireName(name)
    if (!ARTEFACT_FILE.test(file)) throw gone(name, file)
    yield* readObject(place, `${place.prefix}${name}/${file}`)
  } catch (error) {
    if (!isNoSuchKey(error)) throw toStoreError(`read "${file}" of "${name}"`, place.bucket, error)
    throw file === MANIFEST
      ? notFound(name, `no backup of this name is in ${urlOf(place)}`, error)
      : gone(name, file, error)
  }
}

/** The manifest goes first: what is half removed is no artefact any more. */
async function remove(place: Bucket, name: string): Promise<void> {
  const folder = `${place.prefix}${requireName(name)}/`
  const keys: string[] = []
  for await (const { Key = '' } of listObjects(place, folder)) keys.push(Key)
  const manifest = `${folder}${MANIFEST}`
  if (!keys.includes(manifest)) throw notFound(name, `no backup of this name is in ${urlOf(place)}`)
  await deleteObjects(place, [manifest])
  await deleteObjects(
    place,
    keys.filter((key) => key !== manifest),
  )
}

/** What is in the bucket under one name. */
interface Remains {
  readonly keys: string[]
  readonly uploads: MultipartUpload[]
  /** When it was last written to: a writer that lives sends parts all the time. */
  changedAt: number
}

async function sweep(place: Bucket, before: number): Promise<number> {
  const whole = new Set<string>()
  const unfinished = new Map<string, Remains>()
  const remainsOf = (name: string) => {
    const known = unfinished.get(name) ?? { keys: [], uploads: [], changedAt: 0 }
    unfinished.set(name, known)
    return known
  }
  // Uploads first: one that is completed in between is found among the objects.
  for await (const upload of listUploads(place)) {
    const { name } = splitKey(place, upload.Key ?? '')
    if (name === '') continue
    const remains = remainsOf(name)
    remains.uploads.push(upload)
    remains.changedAt = Math.max(remains.changedAt, await lastPartAt(place, upload))
  }
  for await (const object of listObjects(place, place.prefix)) noteObject(place, object, { whole, remainsOf })
  let swept = 0
  for (const [name, { keys, uploads, changedAt }] of unfinished) {
    if (changedAt >= before) continue
    // A whole artefact keeps its files; what a second writer of its name left are uploads.
    if (whole.has(name) && uploads.length === 0) continue
    for (const upload of uploads) await abortUpload(place, upload)
    if (!whole.has(name)) await deleteObjects(place, keys)
    swept += 1
  }
  return swept
}

function noteObject(
  place: Bucket,
  { Key = '', LastModified }: _Object,
  { whole, remainsOf }: { readonly whole: Set<string>; remainsOf(name: string): Remains },
): void {
  const { name, file } = splitKey(place, Key)
  if (name === '') return
  if (file === MANIFEST) whole.add(name)
  const remains = remainsOf(name)
  remains.keys.push(Key)
  // What the service does not date is not old.
  remains.changedAt = Math.max(remains.changedAt, LastModified?.getTime() ?? Number.POSITIVE_INFINITY)
}

/** Empty where the key is not of an artefact: other things in the bucket are not looked at. */
function splitKey({ prefix }: Bucket, key: string): { name: string; file: string } {
  const path = key.slice(prefix.length)
  const end = path.lastIndexOf('/')
  const name = path.slice(0, Math.max(end, 0))
  return key.startsWith(prefix) && ARTEFACT_NAME.test(name)
    ? { name, file: path.slice(end + 1) }
    : { name: '', file: '' }
}

function requireName(name: string): string {
  if (ARTEFACT_NAME.test(name)) return name
  throw notFound(name, 'this is no name of a backup')
}

function requireWhole(what: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new RangeError(`Cannot keep backups in S3 with ${what} ${value}: wanted a whole number from ${min} to ${max}`)
}

function urlOf({ bucket, prefix }: Bucket): string {
  return `"s3://${bucket}/${prefix}"`
}

function notFound(name: string, why: string, cause?: unknown): ArtefactError {
  const message = `Cannot find artefact "${name}": ${why}; look at "rowhouse backup list"`
  return new ArtefactError('ERR_ARTEFACT_NOT_FOUND', message, { cause })
}

function gone(name: string, file: string, cause?: unknown): ArtefactError {
  const message = `Cannot read artefact "${name}": its file "${file}" is gone; use another backup`
  return new ArtefactError('ERR_ARTEFACT_DAMAGED', message, { cause })
}
