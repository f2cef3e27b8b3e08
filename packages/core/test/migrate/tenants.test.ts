import pg from 'pg'
import { createRowhouse } from 'rowhouse'
import { createTenantAdmin, type TenantAdmin } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const UNIT = '00000000-0000-4000-8000-000000000001'

let database: TestDatabase
let admin: pg.Client
let tenants: TenantAdmin
beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  tenants = createTenantAdmin({ url: database.adminUrl, rootKey: database.rootKey })
  await tenants.create({ slug: 'acme', name: 'Acme Forwarding' })
})
afterAll(async () => {
  await tenants.close()
  await admin.end()
  await database.drop()
})

const stamps = async (slug: string) =>
  (
    await admin.query(
      'select s.stamp from rowhouse.accepted_stamp s join rowhouse.tenant t on t.id = s.tenant_id where t.slug = $1 order by 1',
      [slug],
    )
  ).rows.length

describe('a tenant', () => {
  it('is created active in both tables, with a UUIDv7, found by slug and id', async () => {
    const made = await tenants.create({ slug: 'globex' })
    expect(made).toMatchObject({ slug: 'globex', name: 'globex', state: 'active', epoch: 1, keyVersion: 1 })
    expect(made.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    expect(await tenants.find('globex')).toEqual(made)
    expect(await tenants.find(made.id)).toEqual(made)
    expect(await tenants.find('nobody')).toBeUndefined()
  })

  it('leaves nothing behind when it cannot be created', async () => {
    const id = '00000000-0000-7000-8000-000000000009'
    await expect(tenants.create({ slug: 'acme', id })).rejects.toMatchObject({
      code: 'ERR_TENANT_SLUG_TAKEN',
      message: 'Cannot name a tenant "acme": the slug is taken; choose another one',
    })
    await expect(tenants.create({ slug: 'www' })).rejects.toMatchObject({ code: 'ERR_TENANT_SLUG_INVALID' })
    await expect(tenants.create({ slug: 'initech', id: 'X' })).rejects.toThrow(TypeError)
    await expect(tenants.create({ slug: 'initech', id: '00000000-0000-0000-0000-000000000000' })).rejects.toThrow(
      'it stands for the platform',
    )
    await expect(tenants.create({ slug: 'initech', name: 'x'.repeat(201) })).rejects.toThrow('wanted 1 to 200')
    const { id: taken } = (await tenants.find('acme')) ?? { id: '' }
    await expect(tenants.create({ slug: 'initech', id: taken })).rejects.toThrow('there is one with this id')
    expect(await tenants.find('initech')).toBeUndefined()
    expect((await admin.query('select from rowhouse.resident where tenant_id = $1', [id])).rowCount).toBe(0)
  })

  it('is made with the root key of the installation only: any other would seal what the database refuses', async () => {
    const stranger = createTenantAdmin({ url: database.adminUrl, rootKey: 'cd'.repeat(32) })
    for (const attempt of [() => stranger.create({ slug: 'hooli' }), () => stranger.rotateKey('acme')]) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining('the database was installed with another one'),
      })
    }
    await stranger.close()
    expect(await tenants.find('hooli')).toBeUndefined()
  })

  it('is listed by slug, page by page', async () => {
    expect((await tenants.list({ limit: 1 })).map(({ slug }) => slug)).toEqual(['acme'])
    expect((await tenants.list({ limit: 1, after: 'acme' })).map(({ slug }) => slug)).toEqual(['globex'])
    for (const limit of [0, -1, 1.5, Number.NaN, 1_001]) {
      await expect(tenants.list({ limit })).rejects.toThrow('wanted a limit from 1 to 1000')
      await expect(tenants.crossings({ limit })).rejects.toThrow(RangeError)
    }
  })

  it('suspended, is refused everywhere at once; resumed, works again', async () => {
    await admin.query(`create table item (tenant_id uuid not null, id int, primary key (tenant_id, id));
      select rowhouse.protect('item')`)
    const rowhouse = await createRowhouse({
      url: database.appUrl,
      rootKey: database.rootKey,
      directoryTtlMs: 3_600_000,
    })
    const count = () => rowhouse.withTenant('globex', (db) => db.one('select count(*)::int as n from item'))
    expect(await count()).toEqual({ n: 0 })
    expect(await tenants.suspend('globex')).toMatchObject({ state: 'suspended' })
    expect(await stamps('globex')).toBe(0)
    await expect(count()).rejects.toMatchObject({ code: 'ERR_TENANT_SUSPENDED' })
    expect(await tenants.resume('globex')).toMatchObject({ state: 'active' })
    await expect.poll(() => count().catch((error) => error.code)).toEqual({ n: 0 })
    await rowhouse.close()
  })

  it('accepts two keys after a rotation and one after the old one is retired', async () => {
    expect(await stamps('acme')).toBe(1)
    expect(await tenants.rotateKey('acme')).toMatchObject({ keyVersion: 2, oldKeyAccepted: true })
    expect(await stamps('acme')).toBe(2)
    expect(await tenants.retireOldKey('acme')).toMatchObject({ keyVersion: 2, oldKeyAccepted: false })
    expect(await stamps('acme')).toBe(1)
  })

  it('rotated by two operators at once gets both keys, one after the other', async () => {
    const start = (await tenants.find('acme'))?.keyVersion ?? 0
    const rotated = await Promise.all([tenants.rotateKey('acme'), tenants.rotateKey('acme')])
    expect(rotated.map(({ keyVersion }) => keyVersion).sort()).toEqual([start + 1, start + 2])
  })

  it('that does not exist is named in every answer', async () => {
    const attempts = [
      () => tenants.suspend('nobody'),
      () => tenants.resume('nobody'),
      () => tenants.rotateKey('nobody'),
      () => tenants.retireOldKey('nobody'),
      () => tenants.addDomain('nobody', 'nobody.example.com'),
      () => tenants.domains('nobody'),
      () => tenants.createApiKey('nobody', { name: 'k' }),
    ]
    for (const attempt of attempts) {
      await expect(attempt()).rejects.toMatchObject({
        code: 'ERR_TENANT_NOT_FOUND',
        message: 'Cannot find tenant "nobody": it does not exist',
      })
    }
  })
})

describe('a domain', () => {
  it('leads to one tenant, in whatever case it is written', async () => {
    await tenants.addDomain('acme', 'Freight.Example.COM.')
    await expect(tenants.addDomain('globex', 'freight.example.com')).rejects.toMatchObject({
      code: 'ERR_TENANT_DOMAIN_TAKEN',
      message: expect.stringContaining('Cannot give tenant "globex" the domain "freight.example.com"'),
    })
    expect(await tenants.domains('acme')).toEqual(['freight.example.com'])
    expect(await tenants.domains('globex')).toEqual([])
    expect(await tenants.removeDomain('freight.example.com')).toBe(true)
    expect(await tenants.removeDomain('freight.example.com')).toBe(false)
    await tenants.addDomain('globex', 'freight.example.com')
  })

  it.each(['', 'a b', '10.0.0.1', '[::1]', 'example.com:80', 'exämple.com', 'a/b', 'x'.repeat(300)])(
    'is refused: "%s"',
    async (host) => {
      await expect(tenants.addDomain('acme', host)).rejects.toThrow(RangeError)
    },
  )
})

describe('an API key', () => {
  it('is kept as a hash only, resolves with its units until it is revoked', async () => {
    const made = await tenants.createApiKey('acme', {
      name: 'ci',
      units: [UNIT],
      expiresAt: new Date(Date.now() + 60_000),
    })
    const { rows } = await admin.query('select k::text as row from rowhouse.api_key k where id = $1', [made.id])
    const secret = made.key.split('_')[3] ?? 'none'
    expect(secret.length).toBe(43)
    expect(rows[0].row).not.toContain(secret)
    expect(rows[0].row).toContain(UNIT)
    expect(await tenants.revokeApiKey(made.id)).toBe(true)
    expect(await tenants.revokeApiKey(made.id)).toBe(false)
    expect(await tenants.revokeApiKey('unknown')).toBe(false)
  })

  it('is refused where it could never work or tells nothing', async () => {
    await expect(tenants.createApiKey('acme', { name: '' })).rejects.toThrow('Cannot name a key with 0 characters')
    await expect(tenants.createApiKey('acme', { name: 'k', units: [] })).rejects.toThrow('to no unit')
    await expect(tenants.createApiKey('acme', { name: 'k', units: ['x'] })).rejects.toThrow(TypeError)
    for (const expiresAt of [new Date(0), new Date('never')]) {
      await expect(tenants.createApiKey('acme', { name: 'k', expiresAt })).rejects.toThrow(
        'wanted expiresAt in the future',
      )
    }
  })
})

describe('the log of crossings', () => {
  it('is read newest first, with who, why and how it ended', async () => {
    const rowhouse = await createRowhouse({ url: database.appUrl, rootKey: database.rootKey })
    await rowhouse.crossTenant({ reason: 'INC-42', actor: 'staff:7', tenants: ['acme'] }, (across) =>
      across.many('select 1'),
    )
    await rowhouse.close()
    expect(await tenants.crossings({ limit: 1 })).toMatchObject([
      { actor: 'staff:7', reason: 'INC-42', tenants: 1, writes: false, outcome: 'done' },
    ])
  })
})
