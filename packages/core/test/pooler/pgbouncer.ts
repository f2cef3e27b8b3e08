import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Debian's. */
const DEBIAN = '/usr/sbin/pgbouncer'
/** Debian's user `nobody`: PgBouncer refuses to run as root. */
const NOBODY = 65_534

/** Where PgBouncer is; undefined where it is not installed. */
export const PGBOUNCER = existsSync(DEBIAN) ? DEBIAN : undefined
/** A PgBouncer from 1.21 on, which keeps names of statements apart: named by ROWHOUSE_TEST_PGBOUNCER. */
export const NEW_PGBOUNCER = process.env.ROWHOUSE_TEST_PGBOUNCER || undefined

export interface Bouncer {
  /** URL of a database through it; it logs in by itself. */
  url(database: string): string
  stop(): Promise<void>
}

export interface BouncerOptions {
  readonly binary: string | undefined
  /** URL of the server behind it, with the login it uses there. */
  readonly target: string
  readonly port?: number
  /** Lines of pgbouncer.ini. */
  readonly settings: readonly string[]
}

/** Starts PgBouncer in front of a server. */
export async function startBouncer({ binary, target, settings, ...options }: BouncerOptions): Promise<Bouncer> {
  const server = new URL(target)
  const port = options.port ?? (await freePort())
  const folder = mkdtempSync(join(tmpdir(), 'rowhouse-pgbouncer-'))
  chmodSync(folder, 0o755)
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(
    config,
    `[databases]
* = host=127.0.0.1 port=${server.port} user=${server.username} password=${server.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
max_client_conn = 200
${settings.join('\n')}
`,
  )
  chmodSync(config, 0o600)
  const asRoot = process.getuid?.() === 0
  if (asRoot) chownSync(config, NOBODY, NOBODY)
  const user = asRoot ? { uid: NOBODY, gid: NOBODY } : {}
  const child = spawn(binary ?? DEBIAN, ['-q', config], { stdio: 'ignore', ...user })
  while (!(await accepts(port, child))) await delay(20) // bounded poll: the hook has a timeout
  return {
    url: (database) => `postgres://rowhouse_app@127.0.0.1:${port}/${database}`,
    stop: async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function accepts(port: number, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) throw new Error(`PgBouncer ended with code ${child.exitCode}`)
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
