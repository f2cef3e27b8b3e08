import type { FileSink } from './frames.ts'

/** The file that makes a folder an artefact: written last. */
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
