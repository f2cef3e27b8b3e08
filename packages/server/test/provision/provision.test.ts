import { UnavailableError } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantStep } from '../../src/provision/tenant-step.ts'
import { createPlatform, type Platform } from '../support/platform.ts'

let platform: Platform

const firstShipment = tenantStep({
  name: 'first-shipment',
  check: async (db) => (await db.query(`select from shipment where reference = 'WELCOME'`)).rowCount === 1,
  do: async (db) => {
    await db.query(`insert into shipment (reference) values ('WELCOME')`)
  },
  undo: async (db) => {
    await db.query(`delete from shipment where reference = 'WELCOME'`)
  },
})

beforeAll(async () => {
  platform = await createPlatform({ steps: [firstShipment] })
})
afterAll(() => platform.close())

const MODELS = ['pooled', 'schema', 'database'] as const
const SERVERS = ['main', 'old-1'] as const

describe.each(SERVERS)('on server %s', (server) => {
  it.each(MODELS)('a %s tenant is made, opened and reached by the same code', async (model) => {
    const slug = `${model}-${server}`
    const tenant = await platform.plane.provision({ slug, plan: 'pro', wish: { model, server } })
    expect(tenant).toMatchObject({ slug, state: 'active', plan: 'pro', placement: { model, server } })
    const app = await platform.openApp()
    const rows = await app.withTenant(slug, (db) => db.many('select tenant_id, reference from shipment'))
    expect(rows).toEqual([{ tenant_id: tenant.id, reference: 'WELCOME' }])
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})

describe('one request', () => {
  it('asked twice, also at once, makes one tenant', async () => {
    const request = { slug: 'twice', wish: { model: 'schema', server: 'main' } } as const
    const made = await Promise.all(Array.from({ length: 4 }, () => platform.plane.provision(request)))
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
    expect((await platform.plane.provision(request)).id).toBe(made[0]?.id)
    expect(await platform.plane.findOrphans()).toEqual([])
  })

  it('with the key of another request is refused', async () => {
    await platform.plane.provision({ slug: 'first-of-key', idempotencyKey: 'order-1' })
    await expect(platform.plane.provision({ slug: 'second-of-key', idempotencyKey: 'order-1' })).rejects.toMatchObject({
      code: 'ERR_IDEMPOTENCY_KEY_REUSED',
      message:
        'Cannot provision tenant "second-of-key": its idempotency key was used for another request (tenant "first-of-key"); use another key, or ask for the same',
    })
  })

  it('for a name somebody has is refused, whatever its key, and leaves nothing', async () => {
    await platform.plane.provision({ slug: 'taken' })
    const again = platform.plane.provision({ slug: 'taken', idempotencyKey: 'order-2', wish: { model: 'database' } })
    await expect(again).rejects.toMatchObject({
      name: 'TenantError',
      code: 'ERR_TENANT_SLUG_TAKEN',
      message: 'Cannot name a tenant "taken": the slug is taken; choose another one',
    })
    expect(await platform.plane.findOrphans()).toEqual([])
  })

  it.each([
    [{ slug: 'www' }, 'ERR_TENANT_SLUG_INVALID'],
    [{ slug: 'аcme' }, 'ERR_TENANT_SLUG_INVALID'],
    [{ slug: 'a'.repeat(64) }, 'ERR_TENANT_SLUG_INVALID'],
    [{ slug: 'xn--acme' }, 'ERR_TENANT_SLUG_INVALID'],
    [{ slug: 'far-away', wish: { server: 'nowhere' } }, 'ERR_PLACEMENT_IMPOSSIBLE'],
    [{ slug: 'resident', region: 'mars' }, 'ERR_PLACEMENT_IMPOSSIBLE'],
  ] as const)('that cannot be met is refused: %o', async (request, code) => {
    await expect(platform.plane.provision(request)).rejects.toMatchObject({ code })
    expect(await platform.plane.tenants.find(request.slug)).toBeUndefined()
  })

  it('for the longest name gets a home within 63 bytes, and its neighbour in name another one', async () => {
    const long = 'l'.repeat(62)
    const [one, two] = await Promise.all(
      ['a', 'b'].map((end) =>
        platform.plane.provision({ slug: `${long}${end}`, wish: { model: 'schema', server: 'main' } }),
      ),
    )
    const names = [one?.placement.schema, two?.placement.schema]
    expect(names[0]).not.toBe(names[1])
    for (const name of names) expect(Buffer.byteLength(name ?? '')).toBeLessThanOrEqual(63)
  })
})

describe('a server', () => {
  it('that is draining, full or down takes nobody', async () => {
    const wish = { server: 'old-1', model: 'pooled' } as const
    await platform.plane.servers.drain('old-1')
    await expect(platform.plane.provision({ slug: 'too-late', wish })).rejects.toMatchObject({
      code: 'ERR_PLACEMENT_IMPOSSIBLE',
    })
    await platform.plane.servers.activate('old-1')
    await platform.admin.query(`update rowhouse.server set capacity = 0 where name = 'old-1'`)
    await expect(platform.plane.provision({ slug: 'too-many', wish })).rejects.toMatchObject({
      code: 'ERR_PLACEMENT_IMPOSSIBLE',
    })
    await platform.admin.query(`update rowhouse.server set capacity = null where name = 'old-1'`)
    expect(await platform.plane.provision({ slug: 'in-time', wish })).toMatchObject({ state: 'active' })
  })
})

describe('tenants in reserve', () => {
  it.each(MODELS)('of model %s are claimed by sign-ups, each once', async (model) => {
    const wish = { model, server: 'main' } as const
    await platform.plane.standby.fill({ ...wish, count: 2 })
    await platform.reopen({ rules: { rules: [], default: { model: 'pooled', standby: true } } })
    const waiting = async () =>
      (await platform.admin.query(`select id from rowhouse.tenant where state = 'standby' order by id`)).rows.map(
        (row) => row.id,
      )
    const before = await waiting()
    expect(before).toHaveLength(2)
    const slugs = ['a', 'b', 'c'].map((letter) => `claim-${model}-${letter}`)
    const claimed = await Promise.all(slugs.map((slug) => platform.plane.provision({ slug, wish, plan: 'pro' })))
    expect(claimed.map(({ id }) => id)).toEqual(expect.arrayContaining(before))
    expect(new Set(claimed.map(({ id }) => id)).size).toBe(3)
    expect(await waiting()).toEqual([])
    const app = await platform.openApp()
    for (const slug of slugs) {
      expect(await app.withTenant(slug, (db) => db.one('select reference from shipment'))).toEqual({
        reference: 'WELCOME',
      })
    }
    expect(await platform.plane.findOrphans()).toEqual([])
    await platform.reopen()
  })

  it('answer to no name before they are claimed', async () => {
    await platform.plane.standby.fill({ model: 'schema', server: 'main', count: 1 })
    const { rows } = await platform.admin.query(`select slug from rowhouse.tenant where state = 'standby'`)
    const app = await platform.openApp()
    await expect(app.withTenant(rows[0].slug, (db) => db.many('select 1'))).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
    })
  })
})

describe('a step that fails', () => {
  it.each(MODELS)('undoes everything before it (%s), and the same request may be made again', async (model) => {
    const slug = `fails-${model}`
    const done: string[] = []
    let broken = true
    const steps = [
      firstShipment,
      {
        name: 'billing',
        check: async () => false,
        do: async () => {
          if (broken) throw new Error('no contract')
          done.push('do')
        },
        undo: async () => {
          done.push('undo')
        },
      },
    ]
    await platform.reopen({ steps })
    const request = { slug, wish: { model, server: 'old-1' } } as const
    await expect(platform.plane.provision(request)).rejects.toMatchObject({
      code: 'ERR_PROVISIONING_FAILED',
      message: `Cannot provision tenant "${slug}": step "billing" failed: no contract; everything before it was undone`,
    })
    expect(await platform.plane.tenants.find(slug)).toBeUndefined()
    expect(await platform.plane.findOrphans()).toEqual([])
    const welcomes = await platform.onOld((client) =>
      client.query(`select tenant_id from shipment where reference = 'WELCOME'`),
    )
    const homeless = welcomes.rows.filter(({ tenant_id }) => tenant_id === undefined)
    expect(homeless).toEqual([])
    broken = false
    expect(await platform.plane.provision(request)).toMatchObject({ slug, state: 'active' })
    expect(done).toEqual(['undo', 'do'])
    await platform.reopen()
  })

  it('that is tried again and fails each time says so with its own code', async () => {
    let tries = 0
    const busy = {
      name: 'billing',
      check: async () => false,
      do: async () => {
        tries += 1
        throw new UnavailableError('ERR_TIMEOUT', 'Cannot reach billing')
      },
      undo: async () => {},
    }
    await platform.reopen({ steps: [busy] })
    await expect(platform.plane.provision({ slug: 'busy' })).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      message:
        'Cannot provision tenant "busy": step "billing" failed: Cannot reach billing; everything before it was undone',
    })
    expect(tries).toBeGreaterThan(1)
    await platform.reopen()
  })
})
