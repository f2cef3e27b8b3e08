/** How migration folders of several tools are laid out: which files there are, and in which order. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FOLDER_FORMATS, type FolderFormat } from './folder-format.ts'
import { invalid } from './parse-migration.ts'
import { hasUpOrDown } from './up-part.ts'

export interface ListedFile {
  readonly id: string
  readonly number: string
  readonly name: string
  /** Inside the folder, with `/`. */
  readonly path: string
}

/** What a folder holds, names only. */
interface Listing {
  readonly folder: string
  readonly files: readonly string[]
  readonly folders: readonly string[]
}

/** Numbers that order: `0001-name`, `20260114093000_name`, `V1_2__name`, `1.2-name`. */
const NUMBERED = /^V?(\d+(?:[._]\d+)*)(?:[-_. ]+(.*))?$/i

/**
 * Returns the migration files of a folder in their order.
 *
 * @throws {MigrationError} `ERR_MIGRATION_INVALID` when the folder cannot be read, holds no migration, or holds files that
 *   would be left out without a word
 */
export async function listMigrationFiles(
  folder: string,
  wanted: FolderFormat | undefined,
): Promise<{ format: FolderFormat; files: readonly ListedFile[] }> {
  if (wanted !== undefined && !FOLDER_FORMATS.includes(wanted))
    throw new RangeError(`Cannot read "${folder}" as "${wanted}": wanted one of ${FOLDER_FORMATS.join(', ')}`)
  const listing = await list(folder)
  const format = wanted ?? (await detect(listing))
  const files = await READERS[format](listing)
  if (files.length === 0) throw invalid([`${folder}: holds no migration of the format "${format}"`])
  return { format, files }
}

const READERS: Readonly<Record<FolderFormat, (listing: Listing) => ListedFile[] | Promise<ListedFile[]>>> = {
  plain: numberedFiles,
  'node-pg-migrate': numberedFiles,
  drizzle: drizzleFiles,
  prisma: prismaFiles,
}

async function list(folder: string): Promise<Listing> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    const visible = entries.filter((entry) => !entry.name.startsWith('.'))
    const folders = visible.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
    return { folder, folders, files: visible.map((entry) => entry.name).filter((name) => !folders.includes(name)) }
  } catch (error) {
    throw invalid([`${folder}: cannot be read (${(error as NodeJS.ErrnoException).code ?? error})`])
  }
}

async function detect({ folder, files, folders }: Listing): Promise<FolderFormat> {
  if (folders.includes('meta') && (await readIfThere(join(folder, 'meta', '_journal.json'))) !== undefined)
    return 'drizzle'
  if (files.includes('migration_lock.toml')) return 'prisma'
  if (!files.some(isSql)) {
    for (const each of folders)
      if ((await readIfThere(join(folder, each, 'migration.sql'))) !== undefined) return 'prisma'
  }
  for (const file of files.filter(isSql)) {
    if (hasUpOrDown((await readIfThere(join(folder, file))) ?? '')) return 'node-pg-migrate'
  }
  return 'plain'
}

function numberedFiles({ folder, files }: Listing): ListedFile[] {
  const faults: string[] = []
  const listed = files.flatMap((path) => {
    if (/^\d.*\.[cm]?[jt]sx?$/.test(path))
      faults.push(`${join(folder, path)}: is a program: a fleet runs SQL files only`)
    // Undo files of Flyway and golang-migrate lie beside those that go forward.
    if (!isSql(path) || /\.down\.sql$/i.test(path) || /^U\d/.test(path)) return []
    const id = path.replace(/(\.up)?\.sql$/i, '')
    const [, number, name = ''] = NUMBERED.exec(id) ?? []
    if (number !== undefined) return [{ id, number, name, path }]
    faults.push(
      /^R__/.test(path)
        ? `${join(folder, path)}: is repeatable, and a fleet runs a file once: give it a number`
        : `${join(folder, path)}: has no number to order it by: call it 0001-${path}`,
    )
    return []
  })
  if (faults.length > 0) throw invalid(faults)
  return listed.sort(byNumber)
}

async function drizzleFiles({ folder, files }: Listing): Promise<ListedFile[]> {
  const journal = join(folder, 'meta', '_journal.json')
  const { dialect, entries } = readJournal(journal, await readIfThere(journal))
  if (dialect !== 'postgresql') throw invalid([`${journal}: the dialect is "${dialect}", wanted "postgresql"`])
  const listed = entries.map(({ tag }) => {
    const [, number = tag, name = ''] = NUMBERED.exec(tag) ?? []
    return { id: tag, number, name, path: `${tag}.sql` }
  })
  const known = new Set(listed.map((each) => each.path))
  const faults = listed
    .filter(({ path }) => !files.includes(path))
    .map(({ path }) => `${join(folder, path)}: the journal names it and it is gone`)
  for (const file of files.filter(isSql)) {
    if (!known.has(file)) faults.push(`${join(folder, file)}: the journal does not name it: let drizzle-kit make it`)
  }
  if (faults.length > 0) throw invalid(faults)
  return listed
}

function readJournal(
  file: string,
  text: string | undefined,
): { dialect: string; entries: readonly { idx: number; tag: string }[] } {
  if (text === undefined) throw invalid([`${file}: cannot be read`])
  let journal: { dialect?: unknown; entries?: unknown }
  try {
    journal = JSON.parse(text) as typeof journal
  } catch (error) {
    throw invalid([`${file}: is not JSON (${error instanceof Error ? error.message : error})`])
  }
  const entries = Array.isArray(journal?.entries) ? (journal.entries as { idx?: unknown; tag?: unknown }[]) : undefined
  // A tag becomes a path: it stays inside of the folder.
  const sound = entries?.every(
    (entry) => typeof entry?.idx === 'number' && typeof entry.tag === 'string' && /^[\w.-]+$/.test(entry.tag),
  )
  if (entries === undefined || sound !== true) throw invalid([`${file}: wanted "entries", each with "idx" and "tag"`])
  const sorted = (entries as { idx: number; tag: string }[]).toSorted((a, b) => a.idx - b.idx)
  return { dialect: String(journal.dialect), entries: sorted }
}

async function prismaFiles({ folder, files, folders }: Listing): Promise<ListedFile[]> {
  const lock = await readIfThere(join(folder, 'migration_lock.toml'))
  const provider = lock === undefined ? 'postgresql' : /^\s*provider\s*=\s*"([^"]*)"/m.exec(lock)?.[1]
  const faults: string[] = []
  if (provider !== 'postgresql')
    faults.push(`${join(folder, 'migration_lock.toml')}: the provider is "${provider ?? ''}", wanted "postgresql"`)
  for (const file of files.filter(isSql))
    faults.push(`${join(folder, file)}: Prisma keeps each migration in a folder of its own`)
  const listed: ListedFile[] = []
  for (const id of folders) {
    const [, number, name = ''] = NUMBERED.exec(id) ?? []
    if (number === undefined) faults.push(`${join(folder, id)}: has no number to order it by`)
    else if ((await readIfThere(join(folder, id, 'migration.sql'))) === undefined)
      faults.push(`${join(folder, id)}: holds no migration.sql`)
    else listed.push({ id, number, name, path: `${id}/migration.sql` })
  }
  if (faults.length > 0) throw invalid(faults)
  return listed.sort(byNumber)
}

/** Natural order of `2` and `10`, `1.9` and `1.10`, and of numbers too long for a double. */
function byNumber(a: ListedFile, b: ListedFile): number {
  const [left, right] = [a, b].map((each) => each.number.split(/[._]/).map(BigInt)) as [bigint[], bigint[]]
  for (let place = 0; place < Math.max(left.length, right.length); place += 1) {
    const [one, other] = [left[place] ?? -1n, right[place] ?? -1n]
    if (one !== other) return one < other ? -1 : 1
  }
  return a.id < b.id ? -1 : 1
}

function isSql(name: string): boolean {
  return /\.sql$/i.test(name)
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return undefined
  }
}
