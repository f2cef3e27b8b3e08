import { ArtefactError } from 'rowhouse'
import { unwrapDataKey } from './artefact-key.ts'
import { MANIFEST } from './artefact-store.ts'
import { type BackupReport, summaryOf, summed, type TableProgress } from './create-backup.ts'
import { type FrameContext, openFrames, readFrames } from './frames.ts'
import { type Manifest, openManifest, type TableEntry } from './manifest.ts'
import { RowSum } from './row-sum.ts'
import type { BackupRoom } from './tenant-session.ts'

/** A manifest of the largest schema has some megabytes; more is no manifest. */
const MAX_MANIFEST_BYTES = 64 * 1024 * 1024

/** An artefact whose manifest is signed as it should be. Its files are checked as they are read. */
export interface Artefact {
  readonly name: string
  readonly manifest: Manifest
  /** Authenticates, decrypts and decompresses the rows of a table. */
  rows(table: TableEntry): AsyncIterable<Buffer>
  /** Authenticates every frame of a table and compares its digest; leaves the rows packed. */
  prove(table: TableEntry): Promise<void>
}

type ArtefactRoom = Pick<BackupRoom, 'rootKey' | 'store'>

/**
 * Opens an artefact.
 *
 * @throws {ArtefactError} `ERR_ARTEFACT_NOT_FOUND`, `ERR_ARTEFACT_DAMAGED`, `ERR_ARTEFACT_KEY`, `ERR_ARTEFACT_NEWER`
 */
export async function openArtefact({ rootKey, store }: ArtefactRoom, name: string): Promise<Artefact> {
  const manifest = openManifest(rootKey, name, await readManifest(store, name))
  const { artefact, tenant } = manifest
  const key = unwrapDataKey(rootKey, tenant.id, artefact, manifest.key.wrapped)
  const contextOf = (table: TableEntry): FrameContext => ({ key, artefact, file: manifest.tables.indexOf(table) + 1 })
  const bytesOf = ({ file }: TableEntry) => store.read(name, file.name)
  return {
    name,
    manifest,
    rows: (table) => readFrames(contextOf(table), bytesOf(table), table.file),
    prove: async (table) => {
      for await (const _ of openFrames(contextOf(table), bytesOf(table), table.file));
    },
  }
}

/** Reads all of an artefact and compares every frame, digest, number of rows and sum with the manifest. Asks no database. */
export async function verifyBackup(
  room: ArtefactRoom,
  name: string,
  { onTable }: { readonly onTable?: (progress: TableProgress) => void } = {},
): Promise<BackupReport> {
  const beganMs = performance.now()
  const artefact = await openArtefact(room, name)
  const { tables } = artefact.manifest
  for (const [index, table] of tables.entries()) {
    const sum = new RowSum()
    for await (const _ of summed(artefact.rows(table), sum));
    assertSum(artefact, table, sum)
    onTable?.({ table: table.name, rows: table.rows, done: index + 1, total: tables.length })
  }
  return { ...summaryOf(name, artefact.manifest), ms: performance.now() - beganMs }
}

/** @throws {ArtefactError} `ERR_ARTEFACT_DAMAGED` when these are not the rows of the manifest */
export function assertSum({ name }: Pick<Artefact, 'name'>, table: TableEntry, sum: RowSum): void {
  if (sum.rows === table.rows && sum.text === table.sum) return
  throw new ArtefactError(
    'ERR_ARTEFACT_DAMAGED',
    `Cannot believe artefact "${name}": table "${table.name}" has ${sum.rows} rows with sum ${sum.text}, its manifest says ${table.rows} with ${table.sum}; use another backup`,
  )
}

async function readManifest(store: BackupRoom['store'], name: string): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of store.read(name, MANIFEST)) {
    parts.push(part)
    bytes += part.length
    if (bytes > MAX_MANIFEST_BYTES)
      throw new ArtefactError('ERR_ARTEFACT_DAMAGED', `Cannot open artefact "${name}": its manifest is none`)
  }
  return Buffer.concat(parts)
}
