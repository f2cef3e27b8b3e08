import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { clusterPath, type DataFolder, giveToServer, logPath } from './data-folder.ts'
import { EmbeddedError } from './errors.ts'
import { isAlive } from './start-lock.ts'

const START_TIMEOUT_MS = 60_000
/** Fast shutdown ends sessions and writes a checkpoint; beyond this it is cut short, which costs a recovery at next start. */
const STOP_TIMEOUT_MS = 15_000
const POLL_MS = 10

/** Makes a cluster in a folder beside its place and renames it there, so that an interrupted run leaves no half of one. */
export function initCluster(binaries: string, folder: DataFolder, password: string): void {
  for (const name of readdirSync(folder.path)) {
    if (name.startsWith('pgdata.new')) rmSync(join(folder.path, name), { recursive: true, force: true })
  }
  const unfinished = join(folder.path, `pgdata.new-${process.pid}`)
  const passwordFile = `${unfinished}-password`
  mkdirSync(unfinished, { mode: 0o700 })
  giveToServer(folder, unfinished)
  writeFileSync(passwordFile, password, { mode: 0o600 })
  giveToServer(folder, passwordFile)
  const args = [
    '-D',
    unfinished,
    '-U',
    'postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
  ]
  const result = spawnSync(join(binaries, 'bin', 'initdb'), args, {
    ...folder.user,
    encoding: 'utf8',
    env: serverEnv(),
    cwd: folder.path,
  })
  rmSync(passwordFile, { force: true })
  if (result.status !== 0) {
    rmSync(unfinished, { recursive: true, force: true })
    const said = `${result.error?.message ?? ''}\n${result.stderr ?? ''}`.trim()
    throw new EmbeddedError('ERR_EMBEDDED_START_FAILED', `Cannot initialise a cluster in "${folder.path}": ${said}`)
  }
  renameSync(unfinished, clusterPath(folder))
}

/** Starts the server and waits until it accepts connections. Returns its process id. */
export async function startServer(
  binaries: string,
  folder: DataFolder,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<number> {
  const args = [
    '-D',
    clusterPath(folder),
    '-p',
    String(port),
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  const log = openSync(logPath(folder), 'a', 0o600)
  // A session of its own: Ctrl-C in a terminal reaches us alone, and we end it in order.
  const child = spawn(join(binaries, 'bin', 'postgres'), args, {
    ...folder.user,
    cwd: folder.path,
    detached: true,
    env: serverEnv(),
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  child.unref()
  await waitUntilReady(child, folder)
  return child.pid as number
}

/** LANG of the machine may name a locale the binaries do not have; messages in one language can be understood by us. */
function serverEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
}

async function waitUntilReady(child: ChildProcess, folder: DataFolder): Promise<void> {
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  child.once('exit', (code, signal) => {
    failure ??= new Error(`it ended with ${signal ?? `code ${code}`}`)
  })
  const deadlineMs = Date.now() + START_TIMEOUT_MS
  for (;;) {
    if (failure !== undefined) throw startFailed(folder, failure.message)
    if (readPostmaster(folder)?.ready && readPostmaster(folder)?.pid === child.pid) return
    if (Date.now() > deadlineMs) throw startFailed(folder, `it was not ready within ${START_TIMEOUT_MS / 1000} seconds`)
    await delay(POLL_MS)
  }
}

function startFailed(folder: DataFolder, reason: string): EmbeddedError {
  const tail = existsSync(logPath(folder))
    ? readFileSync(logPath(folder), 'utf8').trimEnd().split('\n').slice(-20).join('\n')
    : ''
  return new EmbeddedError(
    'ERR_EMBEDDED_START_FAILED',
    `Cannot start PostgreSQL on "${folder.path}": ${reason}; its log ends with:\n${tail}`,
  )
}

/** Reads postmaster.pid, whose lines are pid, folder, start time, port, socket, address, shared memory, status. */
export function readPostmaster(folder: DataFolder): { pid: number; port: number; ready: boolean } | undefined {
  try {
    const lines = readFileSync(join(clusterPath(folder), 'postmaster.pid'), 'utf8').split('\n')
    return { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' }
  } catch {
    return undefined
  }
}

/** Ends the server: fast, then at once. Resolves when it is gone. */
export async function stopServer(binaries: string, folder: DataFolder, pid: number): Promise<void> {
  if (process.platform === 'win32') {
    execFileSync(join(binaries, 'bin', 'pg_ctl'), ['stop', '-D', clusterPath(folder), '-m', 'fast', '-w'])
    return
  }
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!isAlive(pid)) return
    process.kill(pid, signal)
    await waitUntilGone(pid)
  }
}

/** Waits for a process to end, but not longer than a shutdown may take. */
export async function waitUntilGone(pid: number): Promise<void> {
  const deadlineMs = Date.now() + STOP_TIMEOUT_MS
  while (isAlive(pid) && Date.now() < deadlineMs) await delay(POLL_MS)
}

/** Returns the version of the binaries, e.g. `18.4`. */
export function serverVersion(binaries: string): string {
  const said =
    spawnSync(join(binaries, 'bin', 'postgres'), ['--version'], { encoding: 'utf8', env: serverEnv() }).stdout ?? ''
  return /(\d+\.\d+)/.exec(said)?.[1] ?? ''
}

/**
 * Ends the server when this process ends, however it ends: a shell waits on a pipe that we hold, and the kernel closes
 * it even after kill -9. Returns a function that calls the watcher off.
 */
export function watchOver(pid: number, folder: DataFolder): () => void {
  const command =
    process.platform === 'win32'
      ? [process.execPath, ['-e', WATCH_WITH_NODE]]
      : ['/bin/sh', ['-c', WATCH_WITH_SHELL, String(pid), folder.temporary ? folder.path : '']]
  const watcher = spawn(command[0] as string, command[1] as string[], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...process.env, ROWHOUSE_WATCHED_PID: String(pid) },
  })
  watcher.unref()
  ;(watcher.stdin as unknown as Socket).unref()
  watcher.stdin.on('error', () => {})
  return () => void watcher.kill('SIGKILL')
}

const WATCH_WITH_SHELL = `cat >/dev/null; kill -INT "$0" 2>/dev/null; i=0
while kill -0 "$0" 2>/dev/null && [ $i -lt 150 ]; do sleep 0.1; i=$((i+1)); done
kill -QUIT "$0" 2>/dev/null; [ -n "$1" ] && rm -rf "$1"`

const WATCH_WITH_NODE = `process.stdin.resume().on('end', () => process.kill(Number(process.env.ROWHOUSE_WATCHED_PID)))`

/** Returns a port that is free now; it can be taken before it is used, so the caller tries again. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
