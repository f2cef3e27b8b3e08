import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadModule } from 'libpg-query'
import { MigrationError } from 'rowhouse'
import type { FolderFormat } from './folder-format.ts'
import { type ListedFile, listMigrationFiles } from './folder-formats.ts'
import type { Migration } from './migration.ts'
import { invalid, tryParse } from './parse-migration.ts'
import { type UpPart, upPartOf } from './up-part.ts'

export interface ReadMigrationsOptions {
  /** Who wrote the folder. @defaultValue found out from what lies in it */
  readonly format?: FolderFormat
  /**
   * Schema to take off names such as `"public"."port"`, or false to refuse them.
   * @defaultValue `public` for drizzle and Prisma, which write it everywhere; false for the others
   */
  readonly droppedSchema?: string | false
  /** Largest file in bytes. @defaultValue 4 MiB: a larger one carries data, which has no place in a transaction over a fleet */
  readonly maxBytes?: number
}

const MAX_BYTES = 4 * 1024 * 1024

/**
 * Reads all migrations of a folder in the order they are to be run, and checks that a fleet can run them.
 *
 * Plain SQL files (`0001-name.sql`, `V1_2__name.sql`), drizzle-kit, Prisma and node-pg-migrate's SQL files. Reads files
 * and nothing else: no server is asked. Only the part that goes forward counts.
 *
 * @param folder path of the folder, e.g. `migrations`, `prisma/migrations`, `drizzle`
 * @returns at least one migration; ids and numbers are unique
 * @throws {MigrationError} `ERR_MIGRATION_INVALID` with everything that is wrong, each with file, line and column
 * @example
 * ```ts
 * import { readMigrations } from 'rowhouse-server'
 * for (const { id, statements, transactional } of await readMigrations('migrations')) console.log(id, statements.length, transactional)
 * ```
 */
export async function readMigrations(
  folder: string,
  options: ReadMigrationsOptions = {},
): Promise<readonly Migration[]> {
  const { format, files } = await listMigrationFiles(folder, options.format)
  await loadModule()
  const byDefault = format === 'drizzle' || format === 'prisma' ? 'public' : false
  const droppedSchema = options.droppedSchema ?? byDefault
  const faults: string[] = []
  const shared = new Set<string>()
  const migrations: Migration[] = []
  for (const listed of files) {
    const part = await readUpPart(join(folder, listed.path), format, options.maxBytes ?? MAX_BYTES, faults)
    if (part === undefined) continue
    const source = { ...listed, file: join(folder, listed.path), ...part, droppedSchema: droppedSchema || undefined }
    const migration = tryParse(source, shared, faults)
    if (migration !== undefined) migrations.push(migration)
  }
  faults.push(...findSameNumbers(folder, files))
  if (faults.length > 0) throw invalid(faults)
  return migrations
}

async function readUpPart(
  file: string,
  format: FolderFormat,
  maxBytes: number,
  faults: string[],
): Promise<UpPart | undefined> {
  try {
    const { size } = await stat(file)
    if (size > maxBytes) {
      faults.push(`${file}: ${size} bytes, wanted ${maxBytes} at most: load data outside of migrations`)
      return undefined
    }
    const part = upPartOf(decode(await readFile(file)), format)
    if (typeof part !== 'string') return part
    faults.push(`${file}: ${part}`)
  } catch (error) {
    if (error instanceof TypeError) faults.push(`${file}: not UTF-8 text: save it as UTF-8`)
    else faults.push(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`)
  }
  return undefined
}

/** Throws a TypeError for what is not UTF-8; zero bytes are UTF-8 and no SQL. */
function decode(bytes: Buffer): string {
  if (bytes.includes(0)) throw new TypeError('zero byte')
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n')
}

function findSameNumbers(folder: string, files: readonly ListedFile[]): string[] {
  const byNumber = new Map<string, ListedFile>()
  return files.flatMap((file) => {
    const key = file.number
      .split(/[._]/)
      .map((part) => part.replace(/^0+(?=\d)/, ''))
      .join('.')
    const other = byNumber.get(key)
    byNumber.set(key, other ?? file)
    return other === undefined
      ? []
      : [`${join(folder, file.path)}: has the number ${file.number}, as has "${other.path}": give it the next free one`]
  })
}

/** What a ledger says was run. */
export interface KnownMigration {
  readonly id: string
  readonly sha256: string
}

/**
 * Checks that what ran somewhere is still what the files say.
 *
 * @param known what ran, in any order
 * @throws {MigrationError} `ERR_SCHEMA_DRIFT` when a file changed or is gone
 * @example
 * ```ts
 * import { assertUnchanged, readMigrations } from 'rowhouse-server'
 * const migrations = await readMigrations('migrations')
 * assertUnchanged([{ id: '0001-shipment', sha256: '9f86d08…' }], migrations)
 * ```
 */
export function assertUnchanged(known: readonly KnownMigration[], migrations: readonly Migration[]): void {
  const byId = new Map(migrations.map((each) => [each.id, each]))
  const faults = known.flatMap(({ id, sha256 }) => {
    const found = byId.get(id)
    if (found === undefined) return [`"${id}" ran and its file is gone: restore it`]
    if (found.sha256 === sha256) return []
    return [
      `${found.file}: changed after it ran (${sha256.slice(0, 12)} then, ${found.sha256.slice(0, 12)} now): restore it and write a new migration`,
    ]
  })
  if (faults.length === 0) return
  const lines = faults.slice(0, 20).map((fault) => `\n  ${fault}`)
  throw new MigrationError('ERR_SCHEMA_DRIFT', `Cannot migrate: files differ from what ran${lines.join('')}`)
}

/**
 * Returns the migrations that did not run although a later one did: written on a branch that was merged late.
 *
 * @example
 * ```ts
 * import { findLate, readMigrations } from 'rowhouse-server'
 * const late = findLate([{ id: '0002-invoice', sha256: '' }], await readMigrations('migrations'))
 * console.log(late.map((each) => each.id))
 * ```
 */
export function findLate(known: readonly KnownMigration[], migrations: readonly Migration[]): readonly Migration[] {
  const ran = new Set(known.map((each) => each.id))
  const last = migrations.findLastIndex((each) => ran.has(each.id))
  return migrations.slice(0, Math.max(last, 0)).filter((each) => !ran.has(each.id))
}
