import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { EmbeddedError } from './errors.ts'
import { findOsUser, type OsUser } from './os-user.ts'
import type { Major } from './platform.ts'

/**
 * The folder of one embedded server:
 *
 *     pgdata/      the cluster; belongs to the user the server runs as, mode 0700
 *     server.log   what the server says
 *     server.json  port, process and superuser password, mode 0600; outlives the server, the password belongs to pgdata
 *     start.lock   held while one process starts or stops it
 */
export interface DataFolder {
  readonly path: string
  readonly temporary: boolean
  readonly user: OsUser | undefined
}

/** What `server.json` says. `pid` is of a server that may be gone. */
export interface ServerState {
  readonly password: string
  readonly port: number
  readonly pid: number
}

/** Makes the folder, or another one where the server's user may not pass a folder above it. */
export function openDataFolder(dataDir: string | undefined): DataFolder {
  const user = findOsUser()
  const path = dataDir === undefined ? mkdtempSync(join(tmpdir(), 'rowhouse-')) : reachablePath(resolve(dataDir), user)
  mkdirSync(path, { recursive: true })
  if (user !== undefined) chmodSync(path, 0o711)
  return { path, temporary: dataDir === undefined, user }
}

/** Root may work in /root, where the server's user may not go: the data then lies in /var/tmp, found again by its name. */
function reachablePath(path: string, user: OsUser | undefined): string {
  if (user === undefined || isPassable(path)) return path
  return join('/var/tmp', `rowhouse-${createHash('sha256').update(path).digest('hex').slice(0, 16)}`)
}

function isPassable(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

export function clusterPath(folder: DataFolder): string {
  return join(folder.path, 'pgdata')
}

export function logPath(folder: DataFolder): string {
  return join(folder.path, 'server.log')
}

/** Refuses a cluster of another major: PostgreSQL cannot read it. */
export function assertMajor(folder: DataFolder, major: Major): void {
  const file = join(clusterPath(folder), 'PG_VERSION')
  if (!existsSync(file)) return
  const found = readFileSync(file, 'utf8').trim()
  if (found === String(major)) return
  throw new EmbeddedError(
    'ERR_EMBEDDED_DATA_INCOMPATIBLE',
    `Cannot start PostgreSQL ${major} on "${folder.path}": its data is of PostgreSQL ${found}; start ${found}, or remove the folder to begin anew`,
  )
}

export function readState(folder: DataFolder): ServerState | undefined {
  try {
    return JSON.parse(readFileSync(join(folder.path, 'server.json'), 'utf8')) as ServerState
  } catch {
    return undefined
  }
}

export function writeState(folder: DataFolder, state: ServerState): void {
  const file = join(folder.path, 'server.json')
  const unfinished = `${file}.${process.pid}`
  writeFileSync(unfinished, JSON.stringify(state), { mode: 0o600 })
  renameSync(unfinished, file)
}

export function newPassword(): string {
  return randomBytes(24).toString('base64url')
}

/** Gives a file or folder to the user the server runs as. */
export function giveToServer(folder: DataFolder, path: string): void {
  if (folder.user !== undefined) chownSync(path, folder.user.uid, folder.user.gid)
}

export function removeFolder(folder: DataFolder): void {
  if (folder.temporary) rmSync(folder.path, { recursive: true, force: true })
}
