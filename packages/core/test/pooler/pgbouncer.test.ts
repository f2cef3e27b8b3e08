import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'
import { type Bouncer, NEW_PGBOUNCER, PGBOUNCER, startBouncer } from './pgbouncer.ts'

const STATEMENTS = 2_000
const TRANSACTION = ['pool_mode = transaction', 'default_pool_size = 2']

interface Case {
  readonly title: string
  readonly binary: string | undefined
  readonly preparedStatements: boolean | 'probe'
  readonly settings?: readonly string[]
}

const needsNew = `needs ROWHOUSE_TEST_PGBOUNCER to name a PgBouncer from 1.21 on${NEW_PGBOUNCER ? '' : ': skipped, not set'}`
const cases: readonly Case[] = [
  { title: 'told to name nothing (needs pgbouncer)', binary: PGBOUNCER, preparedStatements: false },
  { title: 'found by the probe (needs pgbouncer)', binary: PGBOUNCER, preparedStatements: 'probe' },
  {
    title: 'found by the probe where startup options are swallowed (needs pgbouncer)',
    binary: PGBOUNCER,
    preparedStatements: 'probe',
    settings: ['ignore_startup_parameters = options'],
  },
  {
    title: `that keeps names apart, found by the probe (${needsNew})`,
    binary: NEW_PGBOUNCER,
    preparedStatements: 'probe',
    settings: ['max_prepared_statements = 500'],
  },
  {
    title: `that has too little room for names and loses them (${needsNew})`,
    binary: NEW_PGBOUNCER,
    preparedStatements: 'probe',
    settings: ['max_prepared_statements = 10'],
  },
]

describe.each(cases)('through PgBouncer in transaction mode $title', ({ binary, preparedStatements, settings }) => {
  if (binary === undefined) return it.skip('needs a PgBouncer that is not here', () => {})
  let n: Neighbours
  let bouncer: Bouncer
  let rowhouse: Rowhouse

  beforeAll(async () => {
    n = await createNeighbours()
    bouncer = await startBouncer({
      binary,
      target: n.database.appUrl,
      settings: [...TRANSACTION, ...(settings ?? [])],
    })
    rowhouse = await n.open({ url: bouncer.url(n.database.name), preparedStatements, lanes: 2, poolSize: 6 })
  })
  afterAll(async () => {
    await n.close()
    await bouncer.stop()
  })

  it(`answers ${STATEMENTS} concurrent statements of two tenants for the right one each, errors and transactions mixed in`, async () => {
    let turn = 0
    let wrong = 0
    const failures: unknown[] = []
    const worker = async () => {
      while (turn < STATEMENTS) {
        const mine = turn++
        const tenant = mine % 2 ? n.a : n.b
        await rowhouse
          .withTenant(tenant.slug, async (db) => {
            if (mine % 7 === 0) await db.query('select 1 / 0').catch(() => {})
            if (mine % 11 === 0) await db.query(`select nothing_${mine % 3} from item`).catch(() => {})
            const text = `select distinct tenant_id::text as id, ${mine % 60} as n from item`
            const rows =
              mine % 3
                ? await db.many<{ id: string; n: number }>(text)
                : await db.transaction((tx) => tx.many<{ id: string; n: number }>(text))
            if (rows.length !== 1 || rows[0]?.id !== tenant.id || rows[0].n !== mine % 60) wrong++
          })
          .catch((error) => failures.push(error))
      }
    }
    await Promise.all(Array.from({ length: 30 }, worker))
    // Losing names, PgBouncer fails transactions (42P05) and cuts connections, for a moment; it may mix nothing up.
    const lost = settings?.includes('max_prepared_statements = 10') ? failures.filter(isLostName) : []
    expect(failures.filter((error) => !lost.includes(error))).toEqual([])
    expect(lost.length).toBeLessThanOrEqual(60)
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
        const client = new pg.Client({ connectionString: bouncer.url(n.database.name) })
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

function isLostName(error: unknown): boolean {
  const { code, sqlState } = error as { code?: string; sqlState?: string }
  return sqlState === '42P05' || sqlState === '26000' || code === 'ERR_DATABASE_UNAVAILABLE'
}
