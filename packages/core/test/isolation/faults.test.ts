import { createRowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startProxy, type WireProxy } from '../support/proxy.ts'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

let n: Neighbours
let proxy: WireProxy
beforeAll(async () => {
  n = await createNeighbours()
  proxy = await startProxy(n.database.appUrl)
})
afterAll(async () => {
  await n.close()
  await proxy.close()
})

const connections = async () =>
  (
    await n.admin.query(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and application_name = 'fault'`,
    )
  ).rows[0].n

describe('a database that is not there', () => {
  it('refuses at start with ERR_DATABASE_UNAVAILABLE', async () => {
    const attempt = createRowhouse({ url: 'postgres://rowhouse_app@127.0.0.1:1/nowhere', rootKey: n.database.rootKey })
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_DATABASE_UNAVAILABLE', retryable: true })
  })

  it('fails what was in flight when all connections are cut, and serves the next statement', async () => {
    const rowhouse = await n.open({ url: proxy.url })
    await rowhouse.withTenant('acme', async (db) => {
      const running = [
        db.query('select pg_sleep(10)'),
        db.query('/* pooled */ select pg_sleep(10)'),
        db.transaction((tx) => tx.query('select pg_sleep(10)')),
      ]
      const settled = Promise.allSettled(running)
      await expect
        .poll(
          async () =>
            (
              await n.admin.query(
                `select count(*)::int as n from pg_stat_activity where query like '%pg_sleep(10)%' and state = 'active' and pid <> pg_backend_pid()`,
              )
            ).rows[0].n,
        )
        .toBe(3)
      proxy.cut()
      for (const outcome of await settled)
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_DATABASE_UNAVAILABLE' } })
      expect(await db.one('select count(*)::int as n from item')).toEqual({ n: 3 })
      expect(await db.transaction((tx) => tx.one('select count(*)::int as n from item'))).toEqual({ n: 3 })
    })
  })

  it('survives pg_terminate_backend on every connection, many times', async () => {
    const rowhouse = await n.open({ applicationName: 'fault', poolSize: 4 })
    for (let round = 0; round < 5; round++) {
      await n.admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'fault'`)
      await expect
        .poll(() =>
          rowhouse.withTenant('acme', (db) => db.one('select count(*)::int as n from item')).catch(() => undefined),
        )
        .toEqual({ n: 3 })
    }
    await Promise.all(
      Array.from({ length: 50 }, () =>
        rowhouse.withTenant('acme', (db) => db.transaction((tx) => tx.query('select 1'))),
      ),
    )
    expect(await connections()).toBeLessThanOrEqual(4 + 2)
  })

  it('gives up on a network that went dark instead of hanging', async () => {
    const rowhouse = await n.open({ url: proxy.url, statementTimeoutMs: 200 })
    await rowhouse.withTenant('acme', async (db) => {
      await db.query('select 1')
      proxy.freeze()
      const outcomes = await Promise.allSettled([db.query('select 1'), db.query('/* pooled */ select 1')])
      proxy.thaw()
      proxy.cut()
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({
          status: 'rejected',
          reason: { code: expect.stringMatching(/^ERR_(TIMEOUT|DATABASE_UNAVAILABLE)$/) },
        })
      }
    })
  })
})

describe('more work than there are connections', () => {
  it('waits in bounded queues, then refuses with ERR_OVERLOADED and a time to come back', async () => {
    const rowhouse = await n.open({ poolSize: 1, maxWaiting: 3, maxWaitingPerTenant: 2, waitTimeoutMs: 300 })
    await rowhouse.withTenant('acme', async (db) => {
      const holder = await rowhouse.pool.connect()
      const outcomes = await Promise.allSettled(
        Array.from({ length: 5 }, () => db.transaction((tx) => tx.query('select 1'))),
      )
      expect(outcomes.map((outcome) => outcome.status)).toEqual(Array(5).fill('rejected'))
      for (const outcome of outcomes)
        expect(outcome).toMatchObject({ reason: { code: 'ERR_OVERLOADED', retryAfterMs: 300 } })
      holder.release()
      await db.transaction((tx) => tx.query('select 1'))
    })
  })
})

describe('close()', () => {
  it('leaves no connection behind and refuses later work', async () => {
    const rowhouse = await createRowhouse({
      url: n.database.appUrl,
      rootKey: n.database.rootKey,
      applicationName: 'fault-close',
    })
    await rowhouse.withTenant('acme', (db) =>
      Promise.all([db.query('select 1'), db.transaction((tx) => tx.query('select 1'))]),
    )
    await rowhouse.close()
    await rowhouse.close()
    await expect
      .poll(
        async () =>
          (
            await n.admin.query(
              `select count(*)::int as n from pg_stat_activity where application_name = 'fault-close'`,
            )
          ).rows[0].n,
      )
      .toBe(0)
    await expect(rowhouse.withTenant('acme', (db) => db.query('/* pooled */ select 1'))).rejects.toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
    })
  })
})
