/**
 * A folder in memory for what a test run writes and throws away.
 *
 * A database is some 330 files, and the tests make thousands of databases: on a disk that is most of what a run does.
 */

import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'

const SHARED_MEMORY = '/dev/shm'
/** A run wrote 2.1 GB at most at one time; memory for the tests themselves comes on top. */
const WANTED_BYTES = 4 * 2 ** 30
const NAME = /^rowhouse-test-(\d+)$/

/**
 * Makes a folder in memory that lasts as long as this process, and returns its path; undefined where memory is short, or
 * where programs could not be started from it (PostgreSQL's are, when they are not readable where they are installed).
 */
export function makeMemoryFolder(): string | undefined {
  if (!isUsable()) return undefined
  for (const name of readdirSync(SHARED_MEMORY)) {
    const owner = NAME.exec(name)?.[1]
    if (owner !== undefined && !isRunning(Number(owner))) remove(join(SHARED_MEMORY, name))
  }
  const folder = join(SHARED_MEMORY, `rowhouse-test-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  // As open as the folder it stands for: under root, PostgreSQL runs as another user.
  chmodSync(folder, 0o1777)
  process.once('exit', () => remove(folder))
  return folder
}

function isUsable(): boolean {
  if (process.platform !== 'linux') return false
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  const options = mounts.map((line) => line.split(' ')).find(([, where]) => where === SHARED_MEMORY)
  if (options?.[2] !== 'tmpfs' || /\b(noexec|ro)\b/.test(options[3] ?? '')) return false
  const { bavail, bsize } = statfsSync(SHARED_MEMORY)
  return bavail * bsize >= WANTED_BYTES && freemem() >= 2 * WANTED_BYTES
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Best effort: a file that is still being written ends with its server, and the next run looks again. */
function remove(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true })
  } catch {}
}
