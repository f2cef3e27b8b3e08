import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { createTenantAdmin, type TenantAdmin } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { urlOf } from '../support/admin-client.ts'
import {
  createDatabaseHome,
  createDistantHome,
  createSchemaHome,
  type Home,
  type NamedTenant,
  type OtherServer,
  registerTenant,
  settle,
  startOtherServer,
} from '../support/home.ts'
import { createNeighbours, type Neighbours, SCHEMA } from '../support/tenants.ts'

/** One tenant in each kind of place, besides the two of the shared tables. */
const PLACES = ['in-schema', 'in-database', 'on-distant'] as const
type Place = (typeof PLACES)[number]

let n: Neighbours
let server: OtherServer
let tenants: TenantAdmin
const placed = {} as Record<Place, { tenant: NamedTenant; home: Home }>
beforeAll(async () => {
  n = await createNeighbours()
  server = await startOtherServer(n.database, 'distant', 18)
  const make: Record<Place, (tenant: NamedTenant) => Promise<Home>> = {
    'in-schema': (tenant) => createSchemaHome(n.database, tenant),
    'in-database': () => createDatabaseHome(),
    'on-distant': (tenant) => createDistantHome(n.database, server, tenant),
  }
  for (const place of PLACES) {
    const tenant = await registerTenant(n.admin, place)
    const home = await make[place](tenant)
    await home.admin.query(SCHEMA)
    await home.admin.query(`insert into item select $1, n, $2 || n from generate_series(1, 3) n`, [tenant.id, place])
    await settle(n.admin, n.database.rootKey, tenant, home)
    placed[place] = { tenant, home }
  }
  tenants = createTenantAdmin({ url: n.database.adminUrl, rootKey: n.database.rootKey })
})
afterAll(async () => {
  await tenants.close()
  // The last test ends the distant server; its home ends with it.
  for (const place of ['in-schema', 'in-database'] as const) await placed[place].home.close()
  await placed['on-distant'].home.admin.end()
  await n.close()
  await server.stop()
})

const count = (rowhouse: Rowhouse, slug: string) =>
  rowhouse.withTenant(slug, async (db) => (await db.one<{ n: number }>('select count(*)::int as n from item')).n)

const registered = async (slug: string) =>
  (
    await n.admin.query(
      'select state, key_version, epoch from rowhouse.tenant t join rowhouse.placement p on p.tenant_id = t.id where slug = $1',
      [slug],
    )
  ).rows[0]

const resident = async (place: Place) => {
  const { tenant, home } = placed[place]
  const text = 'select state, key_version, old_key_version from rowhouse.resident where tenant_id = $1'
  return (await home.admin.query(text, [tenant.id])).rows[0]
}

describe('tenants in several places', () => {
  it('are each found where they live, by one application', async () => {
    for (const slug of ['acme', 'globex', ...PLACES]) expect(await count(n.rowhouse, slug), slug).toBe(3)
  })

  it('are worked across one by one, each() and many(), and one whose place is down fails alone', async () => {
    const options = { reason: 'INC-1', actor: 'staff:1', tenants: 'all' } as const
    const text = 'select distinct tenant_id as id from item'
    const many = await n.rowhouse.crossTenant(options, (across) => across.many<{ id: string }>(text))
    expect(many.map(({ tenant }) => tenant.slug)).toEqual(['acme', 'globex', 'in-database', 'in-schema', 'on-distant'])
    for (const outcome of many) expect(outcome).toMatchObject({ ok: true, value: [{ id: outcome.tenant.id }] })
    const each = await n.rowhouse.crossTenant({ ...options, write: true }, (across) =>
      across.each((db) => db.transaction(async (tx) => (await tx.query('update item set label = label')).rowCount)),
    )
    expect(each.map((outcome) => outcome.ok && outcome.value)).toEqual([3, 3, 3, 3, 3])
    await withoutDatabase(async () => {
      const outcomes = await n.rowhouse.crossTenant(options, (across) => across.many(text))
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, false, true, true])
      expect(outcomes[2]).toMatchObject({ error: { code: 'ERR_DATABASE_UNAVAILABLE' } })
    })
  })
})

/** Takes the database of `in-database` away under all its connections, and puts it back. */
async function withoutDatabase(fn: () => Promise<void>): Promise<void> {
  const { tenant, home } = placed['in-database']
  const name = home.placement.database as string
  await home.admin.end()
  await n.admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
  await n.admin.query(`alter database ${name} rename to ${name}_away`)
  try {
    await fn()
  } finally {
    await n.admin.query(`alter database ${name}_away rename to ${name}`)
    const admin = new pg.Client({ connectionString: urlOf(n.database.adminUrl, name) })
    await admin.connect()
    const close = async () => {
      await admin.end()
      await n.admin.query(`drop database ${name} with (force)`)
    }
    placed['in-database'] = { tenant, home: { ...home, admin, close } }
  }
}

describe('a place that cannot be reached', () => {
  it('is an error of its tenant alone when the database was dropped', async () => {
    const tenant = await registerTenant(n.admin, 'dropped')
    const home = await createDatabaseHome()
    await home.admin.query(SCHEMA)
    await settle(n.admin, n.database.rootKey, tenant, home)
    expect(await count(n.rowhouse, 'dropped')).toBe(0)
    await home.close()
    const gone = { code: 'ERR_DATABASE_UNAVAILABLE', retryable: true, tenantId: tenant.id }
    await expect.poll(() => count(n.rowhouse, 'dropped').catch((error) => error)).toMatchObject(gone)
    await n.rowhouse.withTenant('dropped', async (db) => {
      await expect(db.transaction((tx) => tx.query('select 1'))).rejects.toMatchObject(gone)
      await expect(db.cursor('select 1').next()).rejects.toMatchObject(gone)
    })
    for (const slug of ['acme', ...PLACES]) expect(await count(n.rowhouse, slug), slug).toBe(3)
    await n.admin.query('delete from rowhouse.placement where tenant_id = $1', [tenant.id])
  })

  it('is named with the missing reference when this process was not given its URL', async () => {
    await n.admin.query(
      `insert into rowhouse.server (name, region, app_url, admin_url) values ('unset', 'eu', 'env:UNSET_APP', 'env:UNSET_ADMIN')`,
    )
    const tenant = await registerTenant(n.admin, 'unset')
    const settled = `insert into rowhouse.placement (tenant_id, server, key_version) values ($1, 'unset', 1)`
    await n.admin.query(settled, [tenant.id])
    await expect(count(n.rowhouse, 'unset')).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message:
        'Cannot connect to server "unset": its URL is expected in "env:UNSET_APP", which is empty or not set; set it for this process',
    })
    await expect(tenants.suspend('unset')).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: expect.stringContaining('server "unset" as operator: its URL is expected in "env:UNSET_ADMIN"'),
    })
    expect(await registered('unset')).toMatchObject({ state: 'active' })
    // Without a restart, once the variable is there.
    process.env.UNSET_APP = n.database.appUrl
    await expect(count(n.rowhouse, 'unset')).rejects.toMatchObject({ code: 'ERR_ISOLATION_SEAL_REFUSED' })
    delete process.env.UNSET_APP
    await n.admin.query('delete from rowhouse.placement where tenant_id = $1', [tenant.id])
    for (const slug of ['acme', ...PLACES]) expect(await count(n.rowhouse, slug), slug).toBe(3)
  })

  it('is found when its server was added after others had been read', async () => {
    const rowhouse = await n.open()
    expect(await count(rowhouse, 'on-distant')).toBe(3)
    const { tenant, home } = placed['on-distant']
    await n.admin.query(
      `insert into rowhouse.server (name, region, app_url, admin_url) values ('later', 'eu', $1, $2)`,
      [server.references.app, server.references.admin],
    )
    const move = 'update rowhouse.placement set server = $2 where tenant_id = $1'
    await n.admin.query(move, [tenant.id, 'later'])
    rowhouse.directory.invalidate()
    expect(await count(rowhouse, 'on-distant')).toBe(3)
    await n.admin.query(move, [tenant.id, home.placement.server])
    await rowhouse.close()
  })
})

describe.each(PLACES)('an operator and a tenant %s', (place) => {
  it('suspends it at once, for processes that remember it as active too, and resumes it', async () => {
    const rowhouse = await n.open({ directoryTtlMs: 3_600_000 })
    expect(await count(rowhouse, place)).toBe(3)
    expect(await tenants.suspend(place)).toMatchObject({ state: 'suspended' })
    expect(await resident(place)).toMatchObject({ state: 'suspended' })
    await expect(count(rowhouse, place)).rejects.toMatchObject({ code: 'ERR_TENANT_SUSPENDED' })
    expect(await tenants.resume(place)).toMatchObject({ state: 'active' })
    rowhouse.directory.invalidate()
    expect(await count(rowhouse, place)).toBe(3)
    await rowhouse.close()
  })

  it('rotates its key and retires the old one while statements run: none fails', async () => {
    const rowhouse = await n.open({ directoryTtlMs: 3_600_000 })
    let running = true
    let served = 0
    const load = Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        while (running) {
          const work = i % 2 === 0 ? count(rowhouse, place) : inTransaction(rowhouse, place)
          expect(await work).toBe(3)
          served++
        }
      }),
    )
    const { key_version: before } = await registered(place)
    for (const change of [tenants.rotateKey, tenants.retireOldKey, tenants.rotateKey, tenants.retireOldKey]) {
      await change(place)
      const seen = served
      await expect.poll(() => served).toBeGreaterThan(seen + 10)
    }
    running = false
    await load
    expect(await registered(place)).toMatchObject({ key_version: before + 2 })
    expect(await resident(place)).toEqual({ state: 'active', key_version: before + 2, old_key_version: null })
    await rowhouse.close()
  })
})

const inTransaction = (rowhouse: Rowhouse, slug: string) =>
  rowhouse.withTenant(slug, (db) =>
    db.transaction(async (tx) => (await tx.one<{ n: number }>('select count(*)::int as n from item')).n),
  )

describe('an operator whose tenant lives in a place that is down', () => {
  const CHANGES = ['suspend', 'rotateKey', 'retireOldKey'] as const

  it.each(CHANGES)('is told so by %s(), and nothing is half changed: a database that is away', async (change) => {
    const before = await registered('in-database')
    await withoutDatabase(async () => {
      await expect(tenants[change]('in-database')).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_(DATABASE_UNAVAILABLE|CONFIG_INVALID)$/),
      })
    })
    expect(await registered('in-database')).toEqual(before)
    expect(await resident('in-database')).toMatchObject({ state: 'active', key_version: before.key_version })
    expect(await count(n.rowhouse, 'in-database')).toBe(3)
  })

  it('is told so when the whole server is down; the registry and all others stay as they are', async () => {
    const before = await registered('on-distant')
    await server.stop()
    const down = { code: 'ERR_DATABASE_UNAVAILABLE', retryable: true }
    for (const change of CHANGES) await expect(tenants[change]('on-distant')).rejects.toMatchObject(down)
    expect(await registered('on-distant')).toEqual(before)
    const attempts = Array.from({ length: 30 }, () => count(n.rowhouse, 'on-distant').catch((error) => error))
    for (const error of await Promise.all(attempts)) expect(error).toMatchObject(down)
    for (const slug of ['acme', 'in-schema', 'in-database']) expect(await count(n.rowhouse, slug), slug).toBe(3)
  })
})
