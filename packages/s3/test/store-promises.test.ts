/** One suite for all stores of artefacts; and stores that break a promise each, to show that it notices. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { s3Store } from 'rowhouse-s3'
import { type ArtefactStore, folderStore } from 'rowhouse-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type S3Service, startS3Service } from './s3-service.ts'
import { STORE_PROMISES, type StoreRoom } from './store-promises.ts'

let service: S3Service
let client: S3Client
let folder: string

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test'
  process.env.AWS_SECRET_ACCESS_KEY = 'test'
  service = await startS3Service()
  client = new S3Client({ endpoint: service.endpoint, region: 'eu-central-1', forcePathStyle: true })
  folder = await mkdtemp(join(tmpdir(), 'rowhouse-stores-'))
})
afterAll(async () => {
  client.destroy()
  await service.stop()
  await rm(folder, { recursive: true })
})

let rooms = 0

function inFolder(): StoreRoom {
  const root = join(folder, String(rooms++))
  return { store: folderStore(root), lose: (name, file) => rm(join(root, name, file)) }
}

function inBucket(): StoreRoom {
  const prefix = `room-${rooms++}/of a test`
  const { endpoint, bucket } = service
  const store = s3Store({ bucket, prefix, endpoint, region: 'eu-central-1', partMiB: 5 })
  const lose = async (name: string, file: string) => {
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `${prefix}/${name}/${file}` }))
  }
  return { store, lose }
}

const kinds = { folderStore: inFolder, s3Store: inBucket }

describe.each(Object.entries(kinds))('%s', (_, open) => {
  it.each(Object.entries(STORE_PROMISES))('%s', async (_, keep) => {
    await keep(open())
    expect(service.openUploads()).toEqual([])
  })
})

/** Breaks one promise of a good store. */
type Weakness = (room: StoreRoom) => StoreRoom

const weaken = (change: (store: ArtefactStore) => Partial<ArtefactStore>): Weakness => {
  return ({ store, lose }) => ({ store: { ...store, ...change(store) }, lose })
}

const begun = new Set<string>()
const WEAK: Readonly<Record<string, readonly [breaks: RegExp, Weakness]>> = {
  'shows half an artefact': [
    /^shows an artefact/,
    weaken((store) => ({
      begin: async (name) => {
        begun.add(name)
        return store.begin(name)
      },
      list: async (tenant) => [...new Set([...(await store.list(tenant)), ...begun])],
    })),
  ],
  'loses a part': [
    /^gives back every byte/,
    weaken((store) => ({
      begin: async (name) => {
        const writer = await store.begin(name)
        let writes = 0
        const open = async (file: string) => {
          const sink = await writer.open(file)
          return { ...sink, write: async (bytes: Buffer) => (++writes === 40 ? undefined : sink.write(bytes)) }
        }
        return { ...writer, open }
      },
    })),
  ],
  'keeps what was given up': [
    /^keeps nothing/,
    weaken((store) => ({ begin: async (name) => ({ ...(await store.begin(name)), abort: async () => {} }) })),
  ],
  'lists in no order': [
    /^lists oldest/,
    weaken((store) => ({ list: async (tenant) => (await store.list(tenant)).reverse() })),
  ],
  'lists all tenants': [/^lists oldest/, weaken((store) => ({ list: () => store.list() }))],
  'removes nothing': [/^removes one/, weaken(() => ({ remove: async () => {} }))],
  'sweeps nothing': [/^sweeps/, weaken(() => ({ sweep: async () => 0 }))],
  'hides that a file is gone': [/^says that/, weaken(() => ({ read: async function* () {} }))],
}

describe.each(Object.entries(kinds))('the suite notices of %s', (_, open) => {
  it.each(Object.entries(WEAK))('one that %s', async (_, [breaks, weakness]) => {
    const broken = Object.entries(STORE_PROMISES).filter(([title]) => breaks.test(title))
    expect(broken).toHaveLength(1)
    for (const [, keep] of broken) await expect(keep(weakness(open()))).rejects.toThrow()
    begun.clear()
  })
})

it('the suite notices a service that replaces objects: fauxqs without what stands before it', async () => {
  service.conditional = false
  const promise = STORE_PROMISES['takes one of two writers of a name, whole']
  await expect(promise?.(inBucket())).rejects.toThrow()
  service.conditional = true
})
