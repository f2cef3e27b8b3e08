import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { type ArtefactStore, MANIFEST } from 'rowhouse-server'

/** A store under test, empty, and what only its owner can do. */
export interface StoreRoom {
  readonly store: ArtefactStore
  /** Loses a file of a whole artefact. */
  lose(name: string, file: string): Promise<void>
}

const TENANT = '01890000-0000-7000-8000-00000000000a'
const OTHER = '01890000-0000-7000-8000-00000000000b'
const PAST = new Date(0)
/** Later than everything a test writes. */
const AFTER = new Date('2999-01-01')
const LARGE = 6 * 1024 * 1024 + 17

export function nameOf(second: number, tenant = TENANT): string {
  return `${tenant}/20260704T0215${String(second).padStart(2, '0')}Z-${randomUUID().slice(0, 8)}`
}

export async function writeArtefact(
  store: ArtefactStore,
  name: string,
  files: Readonly<Record<string, Buffer>> = { '0001.rows': Buffer.from('rows') },
): Promise<void> {
  const writer = await store.begin(name)
  try {
    for (const [file, bytes] of Object.entries(files)) {
      const sink = await writer.open(file)
      for (let from = 0; from < bytes.length; from += 70_001) await sink.write(bytes.subarray(from, from + 70_001))
      await sink.close()
    }
    await writer.commit(Buffer.from(`manifest of ${name}`))
  } catch (error) {
    await writer.abort()
    throw error
  }
}

export async function readFile(store: ArtefactStore, name: string, file: string): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of store.read(name, file)) parts.push(part)
  return Buffer.concat(parts)
}

const digest = (bytes: Buffer) => `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`

/** What every store of artefacts promises. Each is a function that throws when it is broken, so that weak stores can be shown to break it. */
export const STORE_PROMISES: Readonly<Record<string, (room: StoreRoom) => Promise<void>>> = {
  'shows an artefact when it is committed, and nothing of it before': async ({ store }) => {
    const name = nameOf(1)
    const writer = await store.begin(name)
    const sink = await writer.open('0001.rows')
    await sink.write(Buffer.from('rows'))
    deepStrictEqual(await store.list(), [])
    await sink.close()
    deepStrictEqual(await store.list(), [])
    await rejects(readFile(store, name, MANIFEST), { code: 'ERR_ARTEFACT_NOT_FOUND' })
    await writer.commit(Buffer.from('manifest'))
    deepStrictEqual(await store.list(), [name])
    await writer.abort()
    deepStrictEqual(await store.list(), [name])
  },

  'gives back every byte, of files of any size': async ({ store }) => {
    const name = nameOf(1)
    const files = { '0001.rows': Buffer.alloc(0), '0002.rows': Buffer.from('x'), '0003.rows': randomBytes(LARGE) }
    await writeArtefact(store, name, files)
    for (const [file, bytes] of Object.entries(files))
      strictEqual(digest(await readFile(store, name, file)), digest(bytes))
    strictEqual((await readFile(store, name, MANIFEST)).toString(), `manifest of ${name}`)
  },

  'keeps nothing of what is given up, also in the middle of a file': async ({ store }) => {
    for (const size of [10, LARGE]) {
      const writer = await store.begin(nameOf(1))
      const whole = await writer.open('0001.rows')
      await whole.write(randomBytes(size))
      await whole.close()
      const half = await writer.open('0002.rows')
      await half.write(randomBytes(size))
      await writer.abort()
      deepStrictEqual(await store.list(), [])
      strictEqual(await store.sweep(AFTER), 0)
    }
  },

  'lists oldest first, of one tenant or of all': async ({ store }) => {
    const [third, first, second] = [nameOf(30), nameOf(10), nameOf(20, OTHER)]
    for (const name of [third, first, second]) await writeArtefact(store, name)
    deepStrictEqual(await store.list(), [first, second, third])
    deepStrictEqual(await store.list(TENANT), [first, third])
    deepStrictEqual(await store.list(OTHER), [second])
    deepStrictEqual(await store.list(randomUUID()), [])
  },

  'removes one artefact, and knows it no more': async ({ store }) => {
    const [name, stays] = [nameOf(1), nameOf(2)]
    await writeArtefact(store, name)
    await writeArtefact(store, stays)
    await store.remove(name)
    deepStrictEqual(await store.list(), [stays])
    await rejects(readFile(store, name, MANIFEST), { code: 'ERR_ARTEFACT_NOT_FOUND' })
    await rejects(store.remove(name), { code: 'ERR_ARTEFACT_NOT_FOUND' })
    strictEqual((await readFile(store, stays, '0001.rows')).toString(), 'rows')
  },

  'follows no name out of where it is': async ({ store }) => {
    for (const name of ['../../etc', `${TENANT}/../x`, '', `/${nameOf(1)}`, `${nameOf(1)}/..`, `${nameOf(1)}/`]) {
      await rejects(store.begin(name), { code: 'ERR_ARTEFACT_NOT_FOUND' })
      await rejects(readFile(store, name, MANIFEST), { code: 'ERR_ARTEFACT_NOT_FOUND' })
      await rejects(store.remove(name), { code: 'ERR_ARTEFACT_NOT_FOUND' })
    }
    const [name, other] = [nameOf(1), nameOf(2)]
    await writeArtefact(store, name)
    await writeArtefact(store, other)
    const out = `../${other.slice(37)}/0001.rows`
    await rejects(readFile(store, name, out), { code: 'ERR_ARTEFACT_DAMAGED' })
    const writer = await store.begin(nameOf(3))
    await rejects(writer.open(out))
    await writer.abort()
  },

  'takes one of two writers of a name, whole': async ({ store }) => {
    const name = nameOf(1)
    const [first, second] = [await store.begin(name), await store.begin(name)]
    const write = async (writer: typeof first, text: string) => {
      const sink = await writer.open('0001.rows')
      await sink.write(Buffer.from(text))
      await sink.close()
      await writer.commit(Buffer.from(text))
    }
    await write(first, 'first')
    await rejects(write(second, 'second'))
    await second.abort()
    deepStrictEqual(await store.list(), [name])
    for (const file of ['0001.rows', MANIFEST]) strictEqual((await readFile(store, name, file)).toString(), 'first')
    await rejects(writeArtefact(store, name))
    strictEqual((await readFile(store, name, '0001.rows')).toString(), 'first')
  },

  'sweeps what writers left that died, and only that': async ({ store }) => {
    const whole = nameOf(1)
    await writeArtefact(store, whole)
    for (const size of [10, LARGE]) {
      const dead = await store.begin(nameOf(2))
      const sink = await dead.open('0001.rows')
      await sink.write(randomBytes(size))
      await sink.close()
    }
    strictEqual(await store.sweep(PAST), 0)
    strictEqual(await store.sweep(AFTER), 2)
    strictEqual(await store.sweep(AFTER), 0)
    deepStrictEqual(await store.list(), [whole])
    strictEqual((await readFile(store, whole, '0001.rows')).toString(), 'rows')
  },

  'says that a file is gone': async ({ store, lose }) => {
    const name = nameOf(1)
    await writeArtefact(store, name)
    await lose(name, '0001.rows')
    await rejects(readFile(store, name, '0001.rows'), { code: 'ERR_ARTEFACT_DAMAGED' })
    ok((await store.list()).includes(name))
  },
}
