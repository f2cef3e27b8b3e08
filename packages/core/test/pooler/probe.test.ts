import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startProxy } from '../support/proxy.ts'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'
import { type Bouncer, NEW_PGBOUNCER, PGBOUNCER, startBouncer } from './pgbouncer.ts'
import { startSwitchingProxy } from './switching-proxy.ts'

const TRANSACTION = ['pool_mode = transaction', 'default_pool_size = 1']
const DIRECT = { named: true, pinned: false }
const POOLED = { named: true, pinned: true }
const POOLED_UNNAMED = { named: false, pinned: true }

let n: Neighbours
const bouncers: Bouncer[] = []
beforeAll(async () => {
  n = await createNeighbours()
})
afterEach(async () => {
  for (const bouncer of bouncers.splice(0)) await bouncer.stop()
})
afterAll(() => n.close())

async function bounce(binary: string | undefined, ...settings: string[]): Promise<{ url: string; port: number }> {
  const bouncer = await startBouncer({ binary, target: n.database.appUrl, settings })
  bouncers.push(bouncer)
  const url = bouncer.url(n.database.name)
  return { url, port: Number(new URL(url).port) }
}

/** How statements travel on a connection made now. */
async function modeOf(rowhouse: Rowhouse): Promise<unknown> {
  return rowhouse.withTenant('acme', async () => {
    const client = await rowhouse.pool.connect()
    const { mode } = client as unknown as { mode: unknown }
    client.release(true)
    return mode
  })
}

const startUrl = (port: number) => {
  const url = new URL(n.database.appUrl)
  url.port = String(port)
  return url.href
}

describe('preparedStatements: probe', () => {
  it('names statements on a direct connection, for not one round trip more than being told to', async () => {
    const trips: number[] = []
    for (const preparedStatements of [true, 'probe'] as const) {
      const proxy = await startProxy(n.database.appUrl)
      const rowhouse = await n.open({ url: proxy.url, preparedStatements, lanes: 0 })
      expect(await modeOf(rowhouse)).toEqual(DIRECT)
      proxy.reset()
      expect(await modeOf(rowhouse)).toEqual(DIRECT)
      trips.push(proxy.roundTrips())
      await rowhouse.close()
      await proxy.close()
    }
    expect(trips[1]).toBe(trips[0])
  })

  it('refuses a value that is none', async () => {
    await expect(n.open({ preparedStatements: 'yes' as 'probe' })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: `Cannot set preparedStatements to "yes": wanted 'probe', true or false`,
    })
  })
})

describe.skipIf(PGBOUNCER === undefined)('through PgBouncer before 1.21 (needs pgbouncer)', () => {
  it.each([
    ['transaction mode', [...TRANSACTION]],
    ['transaction mode that swallows startup options', [...TRANSACTION, 'ignore_startup_parameters = options']],
    ['session mode: nothing on one connection proves that it stays the only one', ['pool_mode = session']],
  ])('names nothing in %s', async (_title, settings) => {
    const { url } = await bounce(PGBOUNCER, ...settings)
    const rowhouse = await n.open({ url, lanes: 1 })
    expect(await modeOf(rowhouse)).toEqual(POOLED_UNNAMED)
    const found = await rowhouse.withTenant('acme', (db) => db.one('select count(*)::int as n from item'))
    expect(found).toEqual({ n: 3 })
    await rowhouse.close()
  })

  it('leaves no statement with a name on the shared session', async () => {
    const { url } = await bounce(PGBOUNCER, ...TRANSACTION)
    const rowhouse = await n.open({ url, lanes: 1 })
    for (let i = 0; i < 4; i++) await rowhouse.withTenant('acme', (db) => db.many('select id from item'))
    await rowhouse.close()
    const next = new pg.Client({ connectionString: url })
    await next.connect()
    expect((await next.query('select name from pg_prepared_statements')).rows).toEqual([])
    await next.end()
  })

  it('believes no process id: one made to look direct has no session of ours behind it', async () => {
    const { url, port } = await bounce(PGBOUNCER, ...TRANSACTION, 'ignore_startup_parameters = options')
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    const { pid } = (await other.query('select pg_backend_pid() as pid')).rows[0]
    await other.end()
    const proxy = await startSwitchingProxy(port)
    proxy.announce(pid)
    const liedTo = new pg.Client({ connectionString: startUrl(proxy.port) })
    await liedTo.connect()
    // The positive control: comparing process ids alone would take this for PostgreSQL itself.
    expect((liedTo as unknown as { processID: number }).processID).toBe(pid)
    expect((await liedTo.query('select pg_backend_pid() as pid')).rows[0].pid).toBe(pid)
    await liedTo.end()

    const first = await n.open({ url: startUrl(proxy.port), lanes: 1 })
    const second = await n.open({ url: startUrl(proxy.port), lanes: 1 })
    for (const rowhouse of [first, second]) {
      expect(await modeOf(rowhouse)).toEqual(POOLED_UNNAMED)
      await rowhouse.withTenant('acme', (db) => db.one('select count(*)::int as n from item'))
    }
    await first.close()
    await second.close()
    await proxy.close()
  })

  it('named statements forced on it do fail (positive control)', async () => {
    const { url } = await bounce(PGBOUNCER, 'pool_mode = transaction', 'default_pool_size = 2')
    const outcomes = await Promise.allSettled(
      Array.from({ length: 6 }, async () => {
        const rowhouse = await n.open({ url, preparedStatements: true, lanes: 1 })
        const work = () => rowhouse.withTenant('acme', (db) => db.many('select id from item'))
        for (let i = 0; i < 20; i++) await Promise.all([work(), work(), work()])
      }),
    )
    const causes = outcomes.map((outcome) => {
      const { code, cause } = ((outcome as PromiseRejectedResult).reason ?? {}) as { code?: string; cause?: unknown }
      return (cause as { code?: string } | undefined)?.code ?? code
    })
    expect(causes.filter((code) => code === '42P05' || code === '26000').length).toBeGreaterThan(0)
  })

  it('is noticed when it takes the place of PostgreSQL, and when PostgreSQL takes its place', async () => {
    const { port } = await bounce(PGBOUNCER, ...TRANSACTION)
    const direct = Number(new URL(n.database.appUrl).port)
    const proxy = await startSwitchingProxy(direct)
    const rowhouse = await n.open({ url: startUrl(proxy.port), lanes: 1, poolSize: 2 })
    const read = () => rowhouse.withTenant('acme', (db) => db.one('select count(*)::int as n from item'))
    for (const [target, wanted] of [
      [direct, DIRECT],
      [port, POOLED_UNNAMED],
      [direct, DIRECT],
    ] as const) {
      proxy.lead(target)
      // The first connection after the change only teaches how to begin the next ones.
      await expect.poll(() => modeOf(rowhouse).catch(() => undefined)).toEqual(wanted)
      for (let i = 0; i < 4; i++) await expect.poll(() => read().catch(() => undefined)).toEqual({ n: 3 })
    }
    await rowhouse.close()
    await proxy.close()
  })
})

describe.skipIf(NEW_PGBOUNCER === undefined)('from 1.21 on (needs ROWHOUSE_TEST_PGBOUNCER to name one)', () => {
  it('names statements where it keeps names, and none where it does not', async () => {
    for (const [room, wanted] of [
      [200, POOLED],
      [0, POOLED_UNNAMED],
    ] as const) {
      const { url } = await bounce(NEW_PGBOUNCER, ...TRANSACTION, `max_prepared_statements = ${room}`)
      const rowhouse = await n.open({ url, lanes: 1 })
      expect(await modeOf(rowhouse)).toEqual(wanted)
      await rowhouse.close()
    }
  })
})
