import { ArtefactError, isRowhouseError } from 'rowhouse'
import type { FileSink } from './frames.ts'

/** Name of the file that makes a folder an artefact: written last. */
export const MANIFEST = 'manifest.json'

/**
 * Where artefacts are kept: a folder, or whatever has these operations. An artefact is named `<tenant id>/<time>-<id>`
 * and is there with its manifest, or not at all.
 */
export interface ArtefactStore {
  /** Returns the names of complete artefacts of a tenant, or of all, oldest first. */
  list(tenantId?: string): Promise<string[]>
  /** Begins an artefact that nobody sees before it is committed. */
  begin(name: string): Promise<ArtefactWriter>
  /** @throws {ArtefactError} `ERR_ARTEFACT_NOT_FOUND`, `ERR_ARTEFACT_STORE` */
  read(name: string, file: string): AsyncIterable<Buffer>
  remove(name: string): Promise<void>
  /** Removes what writers left behind that died before this moment. Returns how many there were. */
  sweep(before: Date): Promise<number>
}

/** An artefact that is being written. */
export interface ArtefactWriter {
  open(file: string): Promise<FileSink>
  /** Writes the manifest and makes the artefact visible, whole and safe from a loss of power. */
  commit(manifest: Buffer): Promise<void>
  /** Removes everything. Does nothing after `commit`. */
  abort(): Promise<void>
}

/** Shape of a name, so that none leads out of the store. */
export const ARTEFACT_NAME = /^[0-9a-f-]{36}\/\d{8}T\d{6}Z-[0-9a-f]{8}$/

/** Shape of the name of an artefact's file, for the same reason. */
export const ARTEFACT_FILE = /^[0-9A-Za-z][0-9A-Za-z.-]{0,99}$/

/** Gives what a store fails with a code, whatever the store is. */
export function withCodes(store: ArtefactStore): ArtefactStore {
  return {
    list: (tenantId) => coded('list backups', store.list(tenantId)),
    remove: (name) => coded(`remove "${name}"`, store.remove(name)),
    sweep: (before) => coded('remove unfinished backups', store.sweep(before)),
    read: async function* (name, file) {
      try {
        yield* store.read(name, file)
      } catch (error) {
        throw toStoreError(`read "${file}" of "${name}"`, error)
      }
    },
    begin: async (name) => {
      const doing = `write "${name}"`
      const writer = await coded(doing, store.begin(name))
      return {
        abort: () => writer.abort(),
        commit: (manifest) => coded(doing, writer.commit(manifest)),
        open: async (file) => {
          const sink = await coded(doing, writer.open(file))
          return { write: (bytes) => coded(doing, sink.write(bytes)), close: () => coded(doing, sink.close()) }
        },
      }
    },
  }
}

async function coded<T>(doing: string, work: Promise<T>): Promise<T> {
  return work.catch((error) => {
    throw toStoreError(doing, error)
  })
}

function toStoreError(doing: string, error: unknown): Error {
  if (isRowhouseError(error)) return error
  return new ArtefactError('ERR_ARTEFACT_STORE', `Cannot ${doing}: ${(error as Error).message}`, { cause: error })
}
