import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { findBinaries } from './binaries.ts'
import {
  assertMajor,
  clusterPath,
  type DataFolder,
  newPassword,
  openDataFolder,
  readState,
  removeFolder,
  type ServerState,
  writeState,
} from './data-folder.ts'
import { EmbeddedError } from './errors.ts'
import { DEFAULT_MAJOR, type Major } from './platform.ts'
import {
  findFreePort,
  initCluster,
  readPostmaster,
  serverVersion,
  startServer,
  stopServer,
  waitUntilGone,
  watchOver,
} from './server-process.ts'
import { isAlive, withStartLock } from './start-lock.ts'

export interface EmbeddedOptions {
  /** Folder that keeps the data. @defaultValue a temporary one, removed at the end */
  readonly dataDir?: string
  /** PostgreSQL major; those besides 18 need their packages installed. @defaultValue 18 */
  readonly major?: Major
  /** TCP port on 127.0.0.1. @defaultValue a free one */
  readonly port?: number
  /** Settings of postgresql.conf for this start. */
  readonly settings?: Readonly<Record<string, string>>
  /** Called with `initdb`, `reusing`, `starting`, `joining` and `ready`. */
  readonly onProgress?: (step: string) => void
}

export interface EmbeddedPostgres {
  /** URL of the superuser, database `postgres`. Holds the password: keep it out of logs. */
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** E.g. `18.4`. */
  readonly serverVersion: string
  /** True when the server was running already: `stop()` then leaves it alone. */
  readonly joined: boolean
  /** Returns the URL of another database, for another login where one is given. */
  urlFor(database: string, login?: { user: string; password?: string }): string
  /** Ends the server. Safe to call twice. */
  stop(): Promise<void>
}

/** Small and durable; logical replication is on because moves of tenants use it. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '128MB',
  max_connections: '200',
  wal_level: 'logical',
  password_encryption: 'scram-sha-256',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** A free port can be taken between finding and using it; five in a row mean something else is wrong. */
const PORT_ATTEMPTS = 5

/**
 * Starts a real PostgreSQL server from npm packages as a child process, on 127.0.0.1.
 *
 * Works as root (the server then runs as another user) and without install scripts. A second start on the same folder
 * reuses its data; while the first one runs, a second process joins it. The server ends with the process that started
 * it, also after kill -9. For development, tests and demonstrations.
 *
 * @throws {EmbeddedError} `ERR_PLATFORM_UNSUPPORTED`, `ERR_EMBEDDED_START_FAILED` (with the end of the server's log),
 *   `ERR_EMBEDDED_DATA_IN_USE`, `ERR_EMBEDDED_DATA_INCOMPATIBLE`
 * @example
 * ```ts
 * import { startPostgres } from 'rowhouse-embedded'
 * const postgres = await startPostgres({ dataDir: '.rowhouse/dev' })
 * console.log(postgres.urlFor('postgres'))
 * await postgres.stop()
 * ```
 */
export async function startPostgres(options: EmbeddedOptions = {}): Promise<EmbeddedPostgres> {
  const major = options.major ?? DEFAULT_MAJOR
  const binaries = findBinaries(major)
  const folder = openDataFolder(options.dataDir)
  const progress = options.onProgress ?? (() => {})
  try {
    return await withStartLock(folder.path, async () => {
      assertMajor(folder, major)
      const running = await findRunning(folder)
      if (running !== undefined) {
        progress('joining')
        return describe(binaries, folder, running, true, async () => {})
      }
      return start(binaries, folder, options, progress)
    })
  } catch (error) {
    removeFolder(folder)
    throw error
  }
}

async function start(
  binaries: string,
  folder: DataFolder,
  options: EmbeddedOptions,
  progress: (step: string) => void,
): Promise<EmbeddedPostgres> {
  const known = readState(folder)
  const initialised = existsSync(clusterPath(folder))
  if (initialised && known === undefined) {
    throw new EmbeddedError(
      'ERR_EMBEDDED_START_FAILED',
      `Cannot start PostgreSQL on "${folder.path}": it has data but "server.json" with its password is missing; remove the folder to begin anew`,
    )
  }
  const password = initialised && known !== undefined ? known.password : newPassword()
  progress(initialised ? 'reusing' : 'initdb')
  if (!initialised) {
    // The password first: a cluster without it could never be entered again.
    writeState(folder, { password, port: 0, pid: 0 })
    initCluster(binaries, folder, password)
  }
  progress('starting')
  const { pid, port } = await startOnPort(binaries, folder, options)
  const callOff = watchOver(pid, folder)
  const state = { password, port, pid }
  writeState(folder, state)
  progress('ready')
  let stopping: Promise<void> | undefined
  return describe(binaries, folder, state, false, () => {
    stopping ??= stopServer(binaries, folder, pid).then(() => {
      callOff()
      removeFolder(folder)
    })
    return stopping
  })
}

async function startOnPort(
  binaries: string,
  folder: DataFolder,
  options: EmbeddedOptions,
): Promise<{ pid: number; port: number }> {
  const settings = { ...SETTINGS, ...options.settings }
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await findFreePort())
    try {
      return { pid: await startServer(binaries, folder, port, settings), port }
    } catch (error) {
      const taken = /could not bind|Address already in use/.test((error as Error).message)
      if (!taken || options.port !== undefined || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

async function findRunning(folder: DataFolder): Promise<ServerState | undefined> {
  const state = readState(folder)
  const postmaster = readPostmaster(folder)
  if (state === undefined || postmaster === undefined || postmaster.pid !== state.pid) return undefined
  if (!isAlive(state.pid)) return undefined
  if (postmaster.ready && (await accepts(state.port))) return state
  // It is on its way out: the process that started it ended a moment ago.
  await waitUntilGone(state.pid)
  return undefined
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function describe(
  binaries: string,
  folder: DataFolder,
  { password, port }: ServerState,
  joined: boolean,
  stop: () => Promise<void>,
): EmbeddedPostgres {
  const urlFor = (database: string, login: { user: string; password?: string } = { user: 'postgres', password }) => {
    const url = new URL(`postgres://127.0.0.1:${port}`)
    url.username = login.user
    url.password = login.password ?? ''
    url.pathname = `/${encodeURIComponent(database)}`
    return url.href
  }
  return {
    url: urlFor('postgres'),
    port,
    dataDir: folder.path,
    serverVersion: serverVersion(binaries),
    joined,
    urlFor,
    stop,
  }
}
