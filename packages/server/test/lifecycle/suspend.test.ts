import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PLAIN_TEXT } from '../../src/tenant-data/checksum.ts'
import { createPlatform, type Platform } from '../support/platform.ts'

let platform: Platform
/** Looks a tenant up once and believes it for the whole test. */
let stale: Rowhouse

beforeAll(async () => {
  platform = await createPlatform()
  stale = await platform.openApp({ directoryTtlMs: 3_600_000 })
})
afterAll(() => platform.close())

const PLACES = [
  ['pooled', 'main'],
  ['schema', 'main'],
  ['schema', 'old-1'],
  ['database', 'old-1'],
] as const

const read = (slug: string) => stale.withTenant(slug, (db) => db.many('select reference from shipment'))
const write = (slug: string, reference: string) =>
  stale.withTenant(slug, (db) => db.query('insert into shipment (reference) values ($1)', [reference]))

describe.each(PLACES)('a %s tenant on %s', (model, server) => {
  const slug = `suspend-${model}-${server}`
  const cause = { kind: 'unpaid', cause: 'invoice 17 is 60 days overdue', by: 'Ada' }

  it('is refused by the database at once, also by a process that does not know, and served again', async () => {
    await platform.plane.provision({ slug, wish: { model, server } })
    await write(slug, 'A')
    const began = performance.now()
    const facts = await platform.plane.lifecycle.suspend(slug, cause)
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(facts).toMatchObject({ state: 'suspended', suspension: { kind: 'unpaid', cause: cause.cause, by: 'Ada' } })
    await expect(read(slug)).rejects.toMatchObject({ code: 'ERR_TENANT_SUSPENDED' })
    expect(await platform.plane.lifecycle.resume(slug, { by: 'Grace' })).toMatchObject({
      state: 'active',
      suspension: undefined,
    })
    expect(
      await (await platform.openApp()).withTenant(slug, (db) => db.many('select reference from shipment')),
    ).toEqual([{ reference: 'A' }])
  })

  it.each(['read committed', 'repeatable read'] as const)(
    'loses transactions that are open (%s), within a second, and keeps nothing of them',
    async (isolation) => {
      const app = await platform.openApp()
      let suspended: () => void = () => {}
      const isSuspended = new Promise<void>((resolve) => {
        suspended = resolve
      })
      let opened: () => void = () => {}
      const isOpen = new Promise<void>((resolve) => {
        opened = resolve
      })
      const work = app.withTenant(slug, (db) =>
        db.transaction({ isolation }, async (tx) => {
          await tx.query(`insert into shipment (reference) values ('late')`)
          opened()
          await isSuspended
          await tx.query(`insert into shipment (reference) values ('later')`)
        }),
      )
      const ended = work.then(
        () => 'committed',
        () => 'refused',
      )
      await isOpen
      const began = performance.now()
      await platform.plane.lifecycle.suspend(slug, { kind: 'security', cause: 'stolen key', by: 'Ada' })
      expect(performance.now() - began).toBeLessThan(1_500)
      suspended()
      expect(await ended).toBe('refused')
      await platform.plane.lifecycle.resume(slug, { by: 'Ada' })
      const rows = await (await platform.openApp()).withTenant(slug, (db) => db.many('select reference from shipment'))
      expect(rows).toEqual([{ reference: 'A' }])
    },
  )
})

describe('a suspension', () => {
  it('ends a long statement of its tenant and no statement of a neighbour', async () => {
    await Promise.all(['long', 'beside'].map((slug) => platform.plane.provision({ slug, wish: { server: 'main' } })))
    const app = await platform.openApp()
    const sleep = 'select pg_sleep(3) from (select count(*) from shipment) c'
    const own = app
      .withTenant('long', (db) => db.transaction((tx) => tx.many(sleep)))
      .then(
        () => 'done',
        () => 'ended',
      )
    const neighbour = app
      .withTenant('beside', (db) => db.transaction((tx) => tx.many(sleep)))
      .then(
        () => 'done',
        () => 'ended',
      )
    const sleeping = async () =>
      (
        await platform.admin.query(
          `select from pg_stat_activity where query like '%pg_sleep(3)%' and pid <> pg_backend_pid() and state = 'active'`,
        )
      ).rowCount
    await expect.poll(sleeping).toBe(2)
    await platform.plane.lifecycle.suspend('long', { kind: 'abuse', cause: 'mines coins', by: 'Ada' })
    expect(await sleeping()).toBe(1)
    expect(await own).toBe('ended')
    expect(await neighbour).toBe('done')
  })

  it('is not half done when a stranger holds the tenant’s row', async () => {
    const { id } = await platform.plane.provision({ slug: 'stranger', wish: { server: 'main' } })
    const stranger = new pg.Client({ connectionString: platform.central.adminUrl })
    await stranger.connect()
    await stranger.query('begin')
    await stranger.query('select from rowhouse.resident where tenant_id = $1 for update', [id])
    const request = { kind: 'abuse', cause: 'spam', by: 'Ada' }
    await expect(platform.plane.lifecycle.suspend('stranger', request)).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      message:
        'Cannot suspend tenant "stranger": a session that is not the tenant\'s own holds its row in rowhouse.resident; nothing was changed, try again',
    })
    await stranger.end()
    expect((await platform.plane.lifecycle.show('stranger')).state).toBe('active')
    expect((await platform.plane.lifecycle.suspend('stranger', request)).state).toBe('suspended')
  })

  it('takes a new cause while it lasts, and loses it also when another program resumes', async () => {
    await platform.plane.provision({ slug: 'twice' })
    await platform.plane.lifecycle.suspend('twice', { kind: 'unpaid', cause: 'overdue', by: 'Ada' })
    const facts = await platform.plane.lifecycle.suspend('twice', { kind: 'abuse', cause: 'sends spam', by: 'Grace' })
    expect(facts.suspension).toMatchObject({ kind: 'abuse', cause: 'sends spam', by: 'Grace' })
    await platform.plane.tenants.resume('twice')
    expect(await platform.plane.lifecycle.show('twice')).toMatchObject({ state: 'active', suspension: undefined })
  })

  it.each([
    [
      { kind: 'mood', cause: 'no reason', by: 'Ada' },
      'the kind of cause is "mood", wanted one of unpaid, abuse, request, security, other',
    ],
    [
      { kind: 'abuse', cause: '  x ', by: 'Ada' },
      'the reason has 1 characters, wanted 3 to 1000; say why, others will read it',
    ],
    [{ kind: 'abuse', cause: 'spam', by: ' ' }, 'the name of who acts has 0 characters, wanted 1 to 200'],
  ])('without a usable cause is refused: %o', async (request, why) => {
    await expect(platform.plane.lifecycle.suspend('twice', request)).rejects.toMatchObject({
      code: 'ERR_CAUSE_INVALID',
      message: `Cannot suspend tenant "twice": ${why}`,
    })
  })

  it('of a tenant that does not exist is refused', async () => {
    const request = { kind: 'abuse', cause: 'spam', by: 'Ada' }
    await expect(platform.plane.lifecycle.suspend('nobody', request)).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
      message: 'Cannot suspend tenant "nobody": it does not exist',
    })
  })

  it('of a tenant in reserve is refused', async () => {
    await platform.plane.standby.fill({ model: 'pooled', server: 'main', count: 1 })
    const { rows } = await platform.admin.query(`select id from rowhouse.tenant where state = 'standby'`)
    const request = { kind: 'abuse', cause: 'spam', by: 'Ada' }
    await expect(platform.plane.lifecycle.suspend(rows[0].id, request)).rejects.toMatchObject({
      code: 'ERR_TENANT_STATE',
      message: `Cannot suspend tenant "${rows[0].id}": it is standby, wanted active or suspended`,
    })
  })
})

describe('a plan', () => {
  it('that becomes another keeps rows, keys, domains, placement and epoch', async () => {
    await platform.plane.provision({ slug: 'trial', plan: 'trial', wish: { model: 'schema', server: 'main' } })
    await platform.plane.tenants.addDomain('trial', 'trial.example.com')
    const key = await platform.plane.tenants.createApiKey('trial', { name: 'ci' })
    await write('trial', 'KEPT')
    const everything = async () => {
      const client = new pg.Client({ connectionString: platform.central.adminUrl })
      await client.connect()
      await client.query(`begin; ${PLAIN_TEXT}`)
      const tenant = await platform.plane.tenants.find('trial')
      const { rows } = await client.query(
        `select (select json_agg(k) from rowhouse.api_key k where tenant_id = $1) as keys,
        (select json_agg(d) from rowhouse.domain d where tenant_id = $1) as domains,
        (select to_json(p) from rowhouse.placement p where tenant_id = $1) as placement,
        (select json_agg(s) from ${tenant?.placement.schema}.shipment s) as shipments`,
        [tenant?.id],
      )
      await client.end()
      return rows[0]
    }
    const before = await everything()
    expect(await platform.plane.lifecycle.setPlan('trial', { plan: 'pro', by: 'Ada' })).toMatchObject({ plan: 'pro' })
    expect(await everything()).toEqual(before)
    expect(JSON.stringify(before)).toContain(key.id)
    expect(JSON.stringify(before)).toContain('KEPT')
    await expect(platform.plane.lifecycle.setPlan('trial', { plan: 'No Plan', by: 'Ada' })).rejects.toMatchObject({
      code: 'ERR_CAUSE_INVALID',
    })
  })
})
