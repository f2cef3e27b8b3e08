import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serverMajor } from '../support/database.ts'
import { createNeighbours, type Neighbours, testModel } from '../support/tenants.ts'

/** A slice of what `npm run soak` does a million times. The seed makes a failure repeatable. */
const SWITCHES = testModel() === 'pooled' && serverMajor() === 18 ? 10_000 : 2_000
const IN_FLIGHT = 64
const SEED = 20_260_801

let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours({ poolSize: 20 })
})
afterAll(() => n.close())

/** mulberry32: small, seeded, good enough to choose a case. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const WHO = 'select distinct tenant_id::text as id from item'

/** One switch: enter a tenant, do one of many things, return the tenants seen. Failures that were asked for return none. */
async function oneSwitch(slug: string, dice: number): Promise<string[]> {
  return n.rowhouse.withTenant(slug, async (db) => {
    const ids = (rows: { id: string }[]) => rows.map((row) => row.id)
    if (dice < 0.45) return ids(await db.many(WHO))
    if (dice < 0.6) return ids((await n.rowhouse.pool.query(WHO)).rows)
    if (dice < 0.7) return ids(await db.transaction((tx) => tx.many(WHO)))
    if (dice < 0.78) {
      await db.query('select 1 / 0').catch(() => {})
      return ids(await db.many(WHO))
    }
    if (dice < 0.84) {
      await db.transaction((tx) => tx.query('select 1 / 0')).catch(() => {})
      return ids(await db.many(WHO))
    }
    if (dice < 0.88) {
      await db.query(`select set_config('rowhouse.seal', current_setting('rowhouse.seal'), false)`)
      return []
    }
    if (dice < 0.9) {
      await db.query('select pg_sleep(0.05)', [], { timeoutMs: 1 }).catch(() => {})
      return ids(await db.many(WHO))
    }
    if (dice < 0.92) {
      const controller = new AbortController()
      const running = db.query(WHO, [], { signal: controller.signal })
      controller.abort()
      await running.catch(() => {})
      return ids(await db.many(WHO))
    }
    const client = await n.rowhouse.pool.connect()
    try {
      if (dice < 0.96) return ids((await client.query(WHO)).rows)
      await client.query('begin')
      return ids((await client.query(WHO)).rows)
    } finally {
      client.release()
    }
  })
}

describe('concurrent tenants', () => {
  it(`never see each other in ${SWITCHES} switches with errors, aborts, timeouts and leaked transactions (seed ${SEED})`, async () => {
    const next = random(SEED)
    const tenants = [n.a, n.b]
    let wrong = 0
    let done = 0
    const worker = async () => {
      while (done < SWITCHES) {
        done++
        const tenant = tenants[next() < 0.5 ? 0 : 1] as { id: string; slug: string }
        const seen = await oneSwitch(tenant.slug, next())
        if (seen.some((id) => id !== tenant.id)) wrong++
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
    expect(wrong).toBe(0)
  }, 120_000)
})

describe('positive control', () => {
  it('a stock pool whose client reads AsyncLocalStorage answers for the wrong tenant', async () => {
    const storage = new AsyncLocalStorage<string>()
    class NaiveClient extends pg.Client {
      // biome-ignore lint/suspicious/noExplicitAny: the overloads of pg do not matter to the control
      override query(...args: any[]): any {
        const tenant = storage.getStore()
        const run = super.query.bind(this) as (...inner: unknown[]) => unknown
        if (tenant !== undefined) run(`select set_config('app.tenant', '${tenant}', false)`)
        return run(...args)
      }
    }
    const pool = new pg.Pool({ connectionString: n.database.appUrl, max: 1, Client: NaiveClient } as pg.PoolConfig)
    const asked = Array.from({ length: 200 }, (_, i) => `tenant-${i}`)
    const answers = await Promise.all(
      asked.map((tenant) => storage.run(tenant, () => pool.query(`select current_setting('app.tenant') as tenant`))),
    )
    const wrong = answers.filter((answer, i) => answer.rows[0].tenant !== asked[i]).length
    expect(wrong).toBeGreaterThan(0)
    await pool.end()
  })
})
