import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EmbeddedError } from './errors.ts'

/** Initialising a cluster on a slow disk takes seconds; a process that needs longer than this has died or hangs. */
const LOCK_TIMEOUT_MS = 60_000
const POLL_MS = 25

/**
 * Runs `fn` while no other process starts a server on the same folder.
 *
 * @throws {EmbeddedError} `ERR_EMBEDDED_DATA_IN_USE` when another process holds the lock for a minute
 */
export async function withStartLock<T>(folder: string, fn: () => Promise<T>): Promise<T> {
  const file = join(folder, 'start.lock')
  const deadlineMs = Date.now() + LOCK_TIMEOUT_MS
  while (!tryLock(file)) {
    if (Date.now() > deadlineMs) {
      throw new EmbeddedError(
        'ERR_EMBEDDED_DATA_IN_USE',
        `Cannot start PostgreSQL on "${folder}": process ${holderOf(file) ?? 'unknown'} has been starting it for ${LOCK_TIMEOUT_MS / 1000} seconds; end that process or remove "${file}"`,
      )
    }
    await delay(POLL_MS)
  }
  try {
    return await fn()
  } finally {
    rmSync(file, { force: true })
  }
}

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const holder = holderOf(file)
  // A holder that is gone left the lock behind. Between writing and reading it can be empty for a moment: wait then.
  if (holder !== undefined && !isAlive(holder)) rmSync(file, { force: true })
  return false
}

function holderOf(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'))
    return pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

/** Tells whether a process exists, ours or somebody else's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
