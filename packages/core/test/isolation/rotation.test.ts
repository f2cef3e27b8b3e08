import pg from 'pg'
import { createTenantAdmin } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

let n: Neighbours
let tenants: ReturnType<typeof createTenantAdmin>
beforeAll(async () => {
  n = await createNeighbours({ directoryTtlMs: 3_600_000 })
  tenants = createTenantAdmin({ url: n.database.adminUrl, rootKey: n.database.rootKey })
})
afterAll(async () => {
  await tenants.close()
  await n.close()
})

const count = () => n.rowhouse.withTenant('acme', (db) => db.one('select count(*)::int as n from item'))

/** What the end of a move does: the database first, then the registry. */
async function raiseEpoch(): Promise<void> {
  await n.homeOf(n.a).admin.query('update rowhouse.resident set epoch = epoch + 1 where tenant_id = $1', [n.a.id])
  await n.admin.query('update rowhouse.placement set epoch = epoch + 1 where tenant_id = $1', [n.a.id])
}

describe('a tenant’s key', () => {
  it('is looked up again while every pooled connection is held by those who look', async () => {
    const few = await n.open({ lanes: 0, poolSize: 2, directoryTtlMs: 3_600_000 })
    const read = () =>
      few.withTenant('acme', (db) => db.transaction((tx) => tx.one('select count(*)::int as n from item')))
    expect(await read()).toEqual({ n: 3 })
    await raiseEpoch()
    expect(await Promise.all(Array.from({ length: 6 }, read))).toEqual(Array(6).fill({ n: 3 }))
  })

  it('rotates while statements run: none fails, before, between and after', async () => {
    let running = true
    let served = 0
    const load = Promise.all(
      Array.from({ length: 8 }, async () => {
        while (running) {
          expect(await count()).toEqual({ n: 3 })
          served++
        }
      }),
    )
    for (let round = 0; round < 3; round++) {
      await tenants.rotateKey('acme')
      const before = served
      await expect.poll(() => served).toBeGreaterThan(before + 20)
      await tenants.retireOldKey('acme')
      const after = served
      await expect.poll(() => served).toBeGreaterThan(after + 20)
    }
    running = false
    await load
  })

  it('once retired, opens nothing: a seal kept from before is refused', async () => {
    const kept = await n.rowhouse.withTenant('acme', (db) =>
      db.one<{ seal: string }>(`select current_setting('rowhouse.seal') as seal`),
    )
    const home = n.homeOf(n.a)
    const thief = new pg.Client({ connectionString: home.appUrl })
    await thief.connect()
    const text = `select label from ${home.schema}.item, (select set_config('rowhouse.seal', $1, true) offset 0) x`
    const replay = () => thief.query(text, [kept.seal])
    // Positive control: a stolen seal works, where its tenant lives, until its key is retired or it expires.
    expect((await replay()).rows).toHaveLength(3)
    await tenants.rotateKey('acme')
    await tenants.retireOldKey('acme')
    await expect(replay()).rejects.toMatchObject({ code: '42501', constraint: 'rowhouse_context_refused' })
    await thief.end()
  })

  it('of an old epoch is made anew and the statement runs; a long transaction is refused', async () => {
    await count()
    await raiseEpoch()
    expect(await count()).toEqual({ n: 3 })
    await n.rowhouse.withTenant('acme', async (db) => {
      const attempt = db.transaction(async (tx) => {
        await tx.query('select 1')
        await raiseEpoch()
        await tx.query('select * from item')
      })
      await expect(attempt).rejects.toMatchObject({ code: 'ERR_ISOLATION_SEAL_REFUSED' })
      expect(await db.one('select count(*)::int as n from item')).toEqual({ n: 3 })
    })
  })
})

describe('a suspended tenant', () => {
  it('is refused at once, also where the directory still remembers it as active, and comes back', async () => {
    await count()
    await tenants.suspend('acme')
    await expect(count()).rejects.toMatchObject({ code: 'ERR_TENANT_SUSPENDED' })
    await tenants.resume('acme')
    n.rowhouse.directory.invalidate()
    expect(await count()).toEqual({ n: 3 })
  })

  it('that does not exist is not found', async () => {
    await expect(n.rowhouse.withTenant('nobody', async () => {})).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
      message: 'Cannot enter tenant "nobody": it does not exist',
    })
  })
})
