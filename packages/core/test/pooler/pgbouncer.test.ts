import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

const PGBOUNCER = '/usr/sbin/pgbouncer'
/** Debian's user `nobody`: PgBouncer refuses to run as root. */
const NOBODY = 65_534
const STATEMENTS = 2_000

describe.skipIf(!existsSync(PGBOUNCER))('through PgBouncer in transaction mode (needs pgbouncer)', () => {
  let n: Neighbours
  let folder: string
  let bouncer: ChildProcess
  let url: string
  let rowhouse: Rowhouse

  beforeAll(async () => {
    n = await createNeighbours()
    const app = new URL(n.database.appUrl)
    const port = await freePort()
    folder = mkdtempSync(join(tmpdir(), 'rowhouse-pgbouncer-'))
    chmodSync(folder, 0o755)
    const config = join(folder, 'pgbouncer.ini')
    writeFileSync(
      config,
      `[databases]
* = host=127.0.0.1 port=${app.port} user=rowhouse_app password=${app.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
`,
    )
    chmodSync(config, 0o600)
    const asRoot = process.getuid?.() === 0
    if (asRoot) chownSync(config, NOBODY, NOBODY)
    bouncer = spawn(PGBOUNCER, ['-q', config], { stdio: 'ignore', ...(asRoot ? { uid: NOBODY, gid: NOBODY } : {}) })
    url = `postgres://rowhouse_app@127.0.0.1:${port}/${n.database.name}`
    while (!(await accepts(port))) await delay(20) // bounded poll: the hook has a timeout
    rowhouse = await n.open({ url, preparedStatements: false, lanes: 2, poolSize: 6 })
  })
  afterAll(async () => {
    await n.close()
    bouncer.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })

  it(`answers ${STATEMENTS} concurrent statements of two tenants for the right one each, errors and transactions mixed in`, async () => {
    let turn = 0
    let wrong = 0
    const worker = async () => {
      while (turn < STATEMENTS) {
        const mine = turn++
        const tenant = mine % 2 ? n.a : n.b
        await rowhouse.withTenant(tenant.slug, async (db) => {
          if (mine % 7 === 0) await db.query('select 1 / 0').catch(() => {})
          const text = 'select distinct tenant_id::text as id from item'
          const rows =
            mine % 3 ? await db.many<{ id: string }>(text) : await db.transaction((tx) => tx.many<{ id: string }>(text))
          if (rows.length !== 1 || rows[0]?.id !== tenant.id) wrong++
        })
      }
    }
    await Promise.all(Array.from({ length: 30 }, worker))
    expect(wrong).toBe(0)
  })

  it('pins settings that startup options would pin, and a timeout per statement', async () => {
    await rowhouse.withTenant('acme', async (db) => {
      const read = `select current_setting('search_path') as path, current_setting('statement_timeout') as timeout`
      expect(await db.one(read)).toEqual({ path: 'public,pg_temp', timeout: '30s' })
      await db.query(
        `select set_config('search_path', 'pg_catalog', false), set_config('statement_timeout', '1', false)`,
      )
      for (let i = 0; i < 10; i++) expect(await db.one(read)).toEqual({ path: 'public,pg_temp', timeout: '30s' })
      await expect(db.query('select pg_sleep(5)', [], { timeoutMs: 30 })).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
    })
  })

  it('reads large results by cursor and refuses a forged seal as on a direct connection', async () => {
    await rowhouse.withTenant('acme', async (db) => {
      let rows = 0
      for await (const batch of db.cursor('select g from generate_series(1, 2500) g')) rows += batch.length
      expect(rows).toBe(2500)
      const forged = `select * from item, (select set_config('rowhouse.seal', 'x', true) offset 0) x`
      await expect(db.query(forged)).rejects.toMatchObject({ code: 'ERR_ISOLATION_SEAL_REFUSED' })
    })
  })

  it('a plain SET does reach the next client (positive control)', async () => {
    const clients = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = new pg.Client({ connectionString: url })
        await client.connect()
        return client
      }),
    )
    await clients[0]?.query(`set app.tenant = 'leaked'`)
    const seen = await Promise.all(
      clients.slice(1).map((client) => client.query(`select current_setting('app.tenant', true) as tenant`)),
    )
    expect(seen.some((result) => result.rows[0].tenant === 'leaked')).toBe(true)
    await Promise.all(clients.map((client) => client.end()))
  })
})

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
