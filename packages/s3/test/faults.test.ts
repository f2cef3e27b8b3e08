/** What goes wrong between here and a bucket: said clearly, and nothing half made. */

import { randomBytes } from 'node:crypto'
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { s3Store } from 'rowhouse-s3'
import type { ArtefactStore } from 'rowhouse-server'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Call, type Fault, type S3Service, startS3Service } from './s3-service.ts'
import { nameOf, readFile, writeArtefact } from './store-promises.ts'

const MIB = 1024 * 1024
const LARGE = { '0001.rows': randomBytes(6 * MIB) }
const AFTER = new Date('2999-01-01')

let service: S3Service
let store: ArtefactStore
let prefix: string
let rooms = 0

const open = (more: Partial<Parameters<typeof s3Store>[0]> = {}) =>
  s3Store({
    bucket: service.bucket,
    prefix,
    endpoint: service.endpoint,
    region: 'eu-central-1',
    partMiB: 5,
    maxAttempts: 2,
    ...more,
  })

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test'
  process.env.AWS_SECRET_ACCESS_KEY = 'test'
  service = await startS3Service()
})
beforeEach(() => {
  prefix = `fault-${rooms++}`
  store = open()
})
afterEach(() => {
  service.fault = () => undefined
  service.pageKeys = 1_000
})
afterAll(() => service.stop())

/** Answers the first `times` requests that `picks` picks with a fault. */
function failing(picks: (call: Call) => boolean, fault: Fault, times = Number.POSITIVE_INFINITY): { hits(): number } {
  let hits = 0
  service.fault = (call) => (picks(call) && hits++ < times ? fault : undefined)
  return { hits: () => hits }
}

const isPart = (call: Call) => call.method === 'PUT' && call.query.get('partNumber') === '2'
const isManifest = ({ key }: Call) => key.endsWith('/manifest.json')

describe('a bucket that cannot be worked with', () => {
  const refusals: readonly (readonly [string, Fault, RegExp])[] = [
    [
      'denies access',
      { status: 403, code: 'AccessDenied' },
      /bucket "backups" denies access \(AccessDenied: .*the role needs s3:ListBucket/,
    ],
    ['does not exist', { status: 404, code: 'NoSuchBucket' }, /bucket "backups" does not exist/],
    [
      'lies in another region',
      { status: 301, code: 'PermanentRedirect', headers: { 'x-amz-bucket-region': 'us-west-2' } },
      /bucket "backups" lies in region "us-west-2"; set AWS_REGION to that one/,
    ],
    ['is signed for another region', { status: 400, code: 'AuthorizationHeaderMalformed' }, /lies in another region/],
    ['is asked with credentials of yesterday', { status: 400, code: 'ExpiredToken' }, /the credentials have expired/],
    [
      'asks to slow down',
      { status: 503, code: 'SlowDown' },
      /asks to slow down \(SlowDown\), also after several attempts/,
    ],
    ['hangs up', { cut: 'request' }, /the service cannot be reached \(ECONNRESET/],
    ['has troubles of its own', { status: 501, code: 'NotImplemented' }, /NotImplemented: as the test wants it/],
  ]
  it.each(refusals)('that %s is an error that says so', async (_, fault, says) => {
    const name = nameOf(1)
    failing(() => true, fault)
    store = open({ maxAttempts: 1 })
    const wanted = { code: 'ERR_ARTEFACT_STORE', message: expect.stringMatching(says) }
    await expect(store.list()).rejects.toMatchObject(wanted)
    await expect(store.begin(name)).rejects.toMatchObject(wanted)
    await expect(readFile(store, name, 'manifest.json')).rejects.toMatchObject(wanted)
    await expect(store.remove(name)).rejects.toMatchObject(wanted)
    await expect(store.sweep(AFTER)).rejects.toMatchObject(wanted)
  })

  it('that is not there at all is named', async () => {
    const closed = open({ endpoint: 'http://127.0.0.1:1' })
    await expect(closed.list()).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_STORE',
      message: expect.stringMatching(/^Cannot list backups: the service cannot be reached \(ECONNREFUSED/),
    })
  })

  it('without credentials or region says what to set', async () => {
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, HOME, AWS_REGION } = process.env
    const hidden = { AWS_EC2_METADATA_DISABLED: 'true', HOME: '/nowhere' }
    Object.assign(process.env, hidden)
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_REGION']) delete process.env[name]
    try {
      await expect(open().list()).rejects.toThrow(/no credentials were found .*set AWS_PROFILE/)
      const { bucket, endpoint } = service
      await expect(s3Store({ bucket, endpoint }).list()).rejects.toThrow('no region is set; set AWS_REGION')
    } finally {
      Object.assign(process.env, { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, HOME })
      if (AWS_REGION !== undefined) process.env.AWS_REGION = AWS_REGION
    }
  })

  it.each([
    [{ bucket: 'Not a bucket' }, 'Cannot keep backups in bucket "Not a bucket"'],
    [{ bucket: '../x' }, 'Cannot keep backups in bucket "../x"'],
    [{ prefix: 'a/../b' }, 'Cannot keep backups below "a/../b"'],
    [{ prefix: 'a//b' }, 'Cannot keep backups below "a//b"'],
    [{ prefix: 'x'.repeat(901) }, '900 bytes at most'],
  ])('%j is refused before anything is asked', (options, says) => {
    expect(() => open(options)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message: expect.stringContaining(says) }),
    )
  })

  it('sizes out of range are the mistake of the caller', () => {
    expect(() => open({ partMiB: 4 })).toThrow(RangeError)
    expect(() => open({ maxAttempts: 0 })).toThrow(RangeError)
  })
})

describe('an upload', () => {
  it.each([
    ['a network that is cut', { cut: 'request' } as Fault],
    ['an answer that is lost', { cut: 'answer' } as Fault],
    ['a service that asks to slow down', { status: 503, code: 'SlowDown' } as Fault],
  ])('survives %s', async (_, fault) => {
    const name = nameOf(1)
    const { hits } = failing(isPart, fault, 1)
    await writeArtefact(store, name, LARGE)
    expect(hits()).toBeGreaterThan(1)
    expect((await readFile(store, name, '0001.rows')).equals(LARGE['0001.rows'])).toBe(true)
  })

  it.each([
    ['the network stays cut', isPart, { cut: 'request' } as Fault, /cannot be reached/],
    ['access is taken away', isPart, { status: 403, code: 'AccessDenied' } as Fault, /denies access/],
    [
      'the last word is refused',
      ({ method, query }: Call) => method === 'POST' && query.has('uploadId'),
      { status: 500, code: 'InternalError' } as Fault,
      /InternalError/,
    ],
    ['the manifest is refused', isManifest, { status: 403, code: 'AccessDenied' } as Fault, /denies access/],
  ])('leaves no artefact and no parts when %s', async (_, picks, fault, says) => {
    const { hits } = failing((call) => call.method !== 'HEAD' && picks(call), fault)
    await expect(writeArtefact(store, nameOf(1), LARGE)).rejects.toMatchObject({
      code: 'ERR_ARTEFACT_STORE',
      message: expect.stringMatching(says),
    })
    expect(hits()).toBeGreaterThan(0)
    expect(service.openUploads()).toEqual([])
    expect(await keysBelow()).toEqual([])
  })

  it('of a manifest is believed when only its answer was lost', async () => {
    const name = nameOf(1)
    const { hits } = failing((call) => isManifest(call) && call.method === 'PUT', { cut: 'answer' })
    await writeArtefact(store, name)
    expect(hits()).toBe(2)
    expect(await store.list()).toEqual([name])
  })

  it('whose fate nobody knows keeps its files: the manifest may be there', async () => {
    const name = nameOf(1)
    failing((call) => isManifest(call) && call.method !== 'GET', { cut: 'answer' })
    await expect(writeArtefact(store, name)).rejects.toMatchObject({ code: 'ERR_ARTEFACT_STORE' })
    service.fault = () => undefined
    expect(await store.list()).toEqual([name])
    expect((await readFile(store, name, '0001.rows')).toString()).toBe('rows')
  })

  it('of a writer that died is swept with its parts, and one that lives is not', async () => {
    const name = nameOf(1)
    const writer = await store.begin(name)
    const sink = await writer.open('0001.rows')
    await sink.write(LARGE['0001.rows'])
    await expect.poll(() => service.openUploads()).toEqual([`${prefix}/${name}/0001.rows`])
    expect(await store.sweep(new Date(0))).toBe(0)
    expect(service.openUploads()).toHaveLength(1)
    expect(await store.sweep(AFTER)).toBe(1)
    expect(service.openUploads()).toEqual([])
    await writer.abort()
  })

  it('is refused when it is larger than its parts allow, and not before', async () => {
    const writer = await store.begin(nameOf(1))
    const sink = await writer.open('0001.rows')
    // Nothing that large is sent: the number of bytes is what is looked at.
    const huge = Object.defineProperty(Buffer.alloc(1), 'length', { value: 5 * MIB * 10_000 + 1 })
    await expect(sink.write(huge)).rejects.toThrow(/more than 10000 parts of 5242880 bytes.*set partMiB higher/)
    await writer.abort()
  })
})

describe('memory', () => {
  const FILE_BYTES = 256 * MIB
  /** What is sent and not yet collected counts as well: some 90 MiB, however large the file. */
  const LIMIT_BYTES = 192 * MIB
  const CHUNK = randomBytes(512 * 1024)

  /** Most bytes outside of the heap while `write` gets a large file. */
  async function peakOf(write: (bytes: Buffer) => Promise<unknown>): Promise<number> {
    const before = process.memoryUsage().arrayBuffers
    let peak = 0
    for (let sent = 0; sent < FILE_BYTES; sent += CHUNK.length) {
      await write(Buffer.from(CHUNK))
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
    }
    return peak
  }

  it('stays flat while a file goes out; what keeps it all is told apart', async () => {
    service.fault = ({ method, query }) => (method === 'PUT' && query.has('partNumber') ? { forget: true } : undefined)
    const writer = await store.begin(nameOf(1))
    const sink = await writer.open('0001.rows')
    const flat = await peakOf((bytes) => sink.write(bytes))
    await writer.abort()
    const kept: Buffer[] = []
    const all = await peakOf(async (bytes) => kept.push(bytes))
    expect(kept.length * CHUNK.length).toBe(FILE_BYTES)
    expect(flat).toBeLessThan(LIMIT_BYTES)
    expect(all).toBeGreaterThan(LIMIT_BYTES)
  })
})

describe('a download', () => {
  const isRows = (call: Call) => call.method === 'GET' && call.key.endsWith('.rows')

  it('goes on where it broke off', async () => {
    const name = nameOf(1)
    await writeArtefact(store, name, LARGE)
    const { hits } = failing(isRows, { cut: 1.5 * MIB }, 3)
    expect((await readFile(store, name, '0001.rows')).equals(LARGE['0001.rows'])).toBe(true)
    expect(hits()).toBe(4)
  })

  it('that brings nothing any more is given up', async () => {
    const name = nameOf(1)
    await writeArtefact(store, name, LARGE)
    const { hits } = failing(isRows, { cut: 1 })
    const read = readFile(store, name, '0001.rows')
    await expect(read).rejects.toMatchObject({ code: 'ERR_ARTEFACT_STORE' })
    expect(hits()).toBe(5)
  })
})

describe('a list', () => {
  it('has every page', async () => {
    const names = [1, 2, 3, 4, 5].map((second) => nameOf(second))
    for (const name of names) await writeArtefact(store, name)
    service.pageKeys = 3
    // The control: one page is not all.
    expect(await keysBelow()).toHaveLength(3)
    expect(await store.list()).toEqual(names)
    await store.remove(names[0] ?? '')
    expect(await store.list()).toEqual(names.slice(1))
  })

  it('that goes on nobody knows where is not believed', async () => {
    const body = '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'
    failing(() => true, { status: 200, body })
    await expect(store.list()).rejects.toThrow('a list goes on, and not where')
  })

  it('shows nothing that is no artefact', async () => {
    const { endpoint, bucket } = service
    const notes = s3Store({ bucket, endpoint, region: 'eu-central-1', prefix: `${prefix}/notes` })
    await writeArtefact(notes, nameOf(1))
    expect(await store.list()).toEqual([])
    expect(await store.sweep(AFTER)).toBe(0)
    expect(await notes.list()).toHaveLength(1)
  })
})

it('a key that is not deleted is named', async () => {
  const name = nameOf(1)
  await writeArtefact(store, name)
  const body =
    '<DeleteResult><Error><Key>a/b</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>'
  failing(({ query }) => query.has('delete'), { status: 200, body })
  await expect(store.remove(name)).rejects.toMatchObject({
    code: 'ERR_ARTEFACT_STORE',
    message: /AccessDenied.*locked/,
  })
})

/** One page of what lies in the bucket, asked without the store. */
async function keysBelow(): Promise<string[]> {
  const client = new S3Client({ endpoint: service.endpoint, region: 'eu-central-1', forcePathStyle: true })
  const { Contents = [] } = await client.send(
    new ListObjectsV2Command({ Bucket: service.bucket, Prefix: `${prefix}/` }),
  )
  client.destroy()
  return Contents.map(({ Key = '' }) => Key)
}
