import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'
import { createRowhouse } from 'rowhouse'
import type { BenchDatabase } from './database.ts'
import { round } from './measure.ts'

const WHO = 'select tenant_id::text as id from sealed where id = $1'
const IN_FLIGHT = 100

/**
 * Switches between tenants with errors, aborts and timeouts mixed in, on a pool of 20, and counts answers for the wrong
 * tenant. The control reads AsyncLocalStorage inside the client of a stock pool: it has to give wrong answers.
 */
export async function benchContextSwitches(database: BenchDatabase, switches: number) {
  const rowhouse = await createRowhouse({ url: database.appUrl, rootKey: database.rootKey, poolSize: 20 })
  const tally = { wrong: 0, answered: 0, failedOnPurpose: 0 }
  let turn = 0
  const startedMs = performance.now()
  const worker = async () => {
    while (turn < switches) {
      const mine = turn++
      const tenant = database.tenants[mine % database.tenants.length] as { id: string; slug: string }
      await rowhouse.withTenant(tenant.slug, async (db) => {
        const failing = await failOnPurpose(mine, db)
        if (failing) tally.failedOnPurpose++
        const rows =
          mine % 5 === 0
            ? await db.transaction((tx) => tx.many<{ id: string }>(WHO, [1]))
            : mine % 3 === 0
              ? (await rowhouse.pool.query<{ id: string }>(WHO, [1])).rows
              : await db.many<{ id: string }>(WHO, [1])
        tally.answered++
        if (rows.length !== 1 || rows[0]?.id !== tenant.id) tally.wrong++
      })
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
  const seconds = (performance.now() - startedMs) / 1000
  await rowhouse.close()
  return { switches, ...tally, seconds: round(seconds, 1), control: await wrongAnswersOfStockPool(database) }
}

type Db = Parameters<Parameters<Awaited<ReturnType<typeof createRowhouse>>['withTenant']>[1]>[0]

async function failOnPurpose(turn: number, db: Db): Promise<boolean> {
  if (turn % 97 === 0) return failed(db.query('select 1 / 0'))
  if (turn % 101 === 0) return failed(db.transaction((tx) => tx.query('select nothing')))
  if (turn % 1009 === 0) return failed(db.query('select pg_sleep(1)', [], { timeoutMs: 1 }))
  if (turn % 1013 === 0) return failed(db.query('select pg_sleep(1)', [], { signal: AbortSignal.timeout(1) }))
  return false
}

async function failed(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => false,
    () => true,
  )
}

async function wrongAnswersOfStockPool(database: BenchDatabase) {
  const storage = new AsyncLocalStorage<string>()
  class NaiveClient extends pg.Client {
    // biome-ignore lint/suspicious/noExplicitAny: the overloads of pg do not matter to the control
    override query(...args: any[]): any {
      const run = super.query.bind(this) as (...inner: unknown[]) => unknown
      run(`select set_config('app.tenant', '${storage.getStore() ?? ''}', false)`)
      return run(...args)
    }
  }
  const pool = new pg.Pool({ connectionString: database.appUrl, max: 1, Client: NaiveClient } as pg.PoolConfig)
  const asked = database.tenants.slice(0, 50).map((tenant) => tenant.id)
  const answers = await Promise.all(
    asked.map((id) => storage.run(id, () => pool.query(`select current_setting('app.tenant') as id`))),
  )
  await pool.end()
  return { queries: asked.length, wrong: answers.filter((answer, i) => answer.rows[0].id !== asked[i]).length }
}
