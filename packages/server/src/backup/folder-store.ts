import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ArtefactError } from 'rowhouse'
import { ARTEFACT_FILE, ARTEFACT_NAME, type ArtefactStore, type ArtefactWriter, MANIFEST } from './artefact-store.ts'

const PARTIAL = '.partial-'
/** A manifest of ten thousand tables has some megabytes; a file of the store is read by its user alone. */
const PRIVATE_FOLDER = 0o700
const PRIVATE_FILE = 0o600
const READ_BYTES = 256 * 1024

/**
 * Keeps artefacts in a folder. One is written under a name that no reader looks at, its manifest last; every file is
 * flushed to the disk before the folder gets its name.
 *
 * @param root  an absolute or relative path; made when it is missing
 * @example
 * ```ts
 * import { folderStore } from 'rowhouse-server'
 * const store = folderStore('backups')
 * console.log(await store.list())
 * ```
 */
export function folderStore(root: string): ArtefactStore {
  const base = resolve(root)
  return {
    list: (tenantId) => list(base, tenantId),
    begin: (name) => begin(base, name),
    read: (name, file) => read(base, name, file),
    remove: (name) => remove(base, name),
    sweep: (before) => sweep(base, before),
  }
}

async function list(base: string, tenantId: string | undefined): Promise<string[]> {
  const tenants = tenantId === undefined ? await entries(base) : [tenantId]
  const found: string[] = []
  for (const tenant of tenants) {
    for (const entry of await entries(join(base, tenant))) {
      const name = `${tenant}/${entry}`
      if (ARTEFACT_NAME.test(name)) found.push(name)
    }
  }
  return found.sort((a, b) => (a.slice(37) < b.slice(37) ? -1 : 1))
}

async function begin(base: string, name: string): Promise<ArtefactWriter> {
  const target = pathOf(base, name)
  const tenant = dirname(target)
  await mkdir(tenant, { recursive: true, mode: PRIVATE_FOLDER })
  const partial = join(tenant, `${PARTIAL}${randomBytes(8).toString('hex')}`)
  await mkdir(partial, { mode: PRIVATE_FOLDER })
  let committed = false
  const handles = new Set<FileHandle>()
  const openFile = async (file: string) => {
    if (!ARTEFACT_FILE.test(file)) throw new Error(`"${file}" is no name of a file`)
    const handle = await open(join(partial, file), 'wx', PRIVATE_FILE)
    handles.add(handle)
    return {
      write: (bytes: Buffer) => handle.writeFile(bytes),
      close: async () => {
        await handle.sync()
        await handle.close()
        handles.delete(handle)
      },
    }
  }
  return {
    open: openFile,
    commit: async (manifest) => {
      const sink = await openFile(MANIFEST)
      await sink.write(manifest)
      await sink.close()
      await flushFolder(partial)
      await rename(partial, target)
      committed = true
      await flushFolder(tenant)
      await flushFolder(base)
    },
    abort: async () => {
      if (committed) return
      await Promise.all([...handles].map((handle) => handle.close().catch(() => {})))
      await rm(partial, { recursive: true, force: true })
    },
  }
}

async function* read(base: string, name: string, file: string): AsyncGenerator<Buffer> {
  const path = pathOf(base, name)
  if (!ARTEFACT_FILE.test(file)) throw gone(name, file)
  const stream = createReadStream(join(path, file), { highWaterMark: READ_BYTES })
  try {
    for await (const chunk of stream) yield chunk as Buffer
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (file === MANIFEST) throw notFound(name, `no backup of this name is in "${base}"`, error)
    throw gone(name, file, error)
  }
}

/** The name goes first: what is half removed is no artefact any more. */
async function remove(base: string, name: string): Promise<void> {
  const target = pathOf(base, name)
  const gone = join(dirname(target), `${PARTIAL}${randomBytes(8).toString('hex')}`)
  await rename(target, gone).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? notFound(name, `no backup of this name is in "${base}"`, error) : error
  })
  await rm(gone, { recursive: true, force: true })
}

async function sweep(base: string, before: Date): Promise<number> {
  let swept = 0
  for (const tenant of await entries(base)) {
    for (const entry of await entries(join(base, tenant))) {
      if (!entry.startsWith(PARTIAL)) continue
      const path = join(base, tenant, entry)
      if ((await lastChange(path)) >= before.getTime()) continue
      await rm(path, { recursive: true, force: true })
      swept += 1
    }
  }
  return swept
}

/** A writer that lives adds to its files all the time. */
async function lastChange(folder: string): Promise<number> {
  const paths = [folder, ...(await entries(folder)).map((entry) => join(folder, entry))]
  const times = await Promise.all(paths.map(async (path) => (await stat(path)).mtimeMs))
  return Math.max(...times)
}

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  })
}

async function flushFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function pathOf(base: string, name: string): string {
  if (ARTEFACT_NAME.test(name)) return join(base, name)
  throw notFound(name, 'this is no name of a backup')
}

function notFound(name: string, why: string, cause?: unknown): ArtefactError {
  return new ArtefactError(
    'ERR_ARTEFACT_NOT_FOUND',
    `Cannot find artefact "${name}": ${why}; look at "rowhouse backup list"`,
    { cause },
  )
}

function gone(name: string, file: string, cause?: unknown): ArtefactError {
  const message = `Cannot read artefact "${name}": its file "${file}" is gone; use another backup`
  return new ArtefactError('ERR_ARTEFACT_DAMAGED', message, { cause })
}
