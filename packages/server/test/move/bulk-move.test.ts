import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BulkStart } from '../../src/move/bulk/bulk-request.ts'
import { createPlatform, type Platform } from '../support/platform.ts'
import { HISTORY_SCHEMA, writeAlong } from './history.ts'

/** Many tenants moved as one, while they write: what one move promises holds for each, and the plan says what is true. */
let platform: Platform
let app: Rowhouse
beforeAll(async () => {
  platform = await createPlatform({}, HISTORY_SCHEMA)
  app = await platform.openApp({ lockTimeoutMs: 60_000, statementTimeoutMs: 60_000, moveWaitMs: 60_000 })
  await platform.plane.standby.prepare('main')
})
afterAll(() => platform.close())

async function provision(slug: string, model: 'pooled' | 'database', rows: number, plan = 'standard'): Promise<void> {
  await platform.plane.provision({ slug, plan, wish: { model, server: 'main' } })
  const text = `insert into shipment (reference, weight) select '${slug}-' || i, i from generate_series(1, $1::int) i`
  await app.withTenant(slug, (db) => db.query(text, [rows]))
}

const common = { reason: 'a test of bulk moves', requestedBy: 'ops' }
const digestOf = (slug: string) =>
  app.withTenant(slug, (db) =>
    db.many('select count(*)::int as n, md5(string_agg(s::text, $1 order by id)) from shipment s', [',']),
  )
const stateOf = async (name: string) => (await platform.plane.moves.many.find(name)).state
const movedOf = async (name: string) => {
  const records = await platform.plane.moves.many.list()
  return records.find((record) => record.name === name)?.counts.moved ?? 0
}

function start(request: BulkStart): ChildProcess {
  const file = new URL('./bulk-and-die.ts', import.meta.url).pathname
  const { adminUrl: CENTRAL_URL, rootKey: ROOT_KEY } = platform.central
  const env = { ...process.env, CENTRAL_URL, ROOT_KEY, MIGRATIONS: platform.migrations }
  return spawn(process.execPath, ['--conditions=source', '--import', 'tsx', file, JSON.stringify(request)], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

async function sizeOf(): Promise<number> {
  await platform.admin.query('vacuum full shipment')
  const { rows } = await platform.admin.query(`select pg_total_relation_size('shipment') as bytes`)
  return Number(rows[0].bytes)
}

describe('twelve databases consolidated into shared tables', () => {
  const slugs = Array.from({ length: 12 }, (_, n) => `own-${String(n + 1).padStart(2, '0')}`)
  const request: BulkStart = {
    ...common,
    name: 'consolidate',
    from: { model: 'database', server: 'main', plan: 'free', smallerThanBytes: 100_000_000 },
    to: { model: 'pooled', server: 'main' },
  }

  it('under writes, by a process that is killed with -9 and another one that goes on', async () => {
    for (const [n, slug] of slugs.entries()) await provision(slug, 'database', 400 * (12 - n), 'free')
    await provision('paying', 'database', 10)
    await provision('neighbour', 'pooled', 1_000)
    const neighbours = [await digestOf('neighbour'), await digestOf('paying')]
    const before = new Map(await Promise.all(slugs.map(async (slug) => [slug, await digestOf(slug)] as const)))
    const sharedBefore = await sizeOf()

    const plan = await platform.plane.moves.many.plan(request)
    expect(plan.tenants.map(({ slug }) => slug)).toEqual(slugs.toReversed())
    expect(plan).toMatchObject({ leftOut: [], concurrency: 2, target: request.to })
    const { rows: databases } = await platform.admin.query(
      `select sum(pg_database_size(database_name))::float8 as bytes
         from rowhouse.placement p join rowhouse.tenant t on t.id = p.tenant_id where t.plan = 'free'`,
    )
    expect(Math.abs(plan.before.diskBytes / databases[0].bytes - 1)).toBeLessThan(0.02)
    expect(plan.before.relations).toBeGreaterThan(12 * 400)
    expect(plan.after).toMatchObject({ connections: 0, relations: 0, backendBytes: 0 })

    const writing = ['own-01', 'own-06', 'own-12']
    const loads = writing.map((slug) => writeAlong(app, slug))
    const child = start(request)
    await expect.poll(() => movedOf('consolidate'), { timeout: 60_000, interval: 20 }).toBeGreaterThan(2)
    expect(await stateOf('consolidate')).toBe('running')
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await expect.poll(() => stateOf('consolidate'), { timeout: 10_000 }).toBe('stopped')
    const then = await movedOf('consolidate')
    expect(then).toBeLessThan(12)
    await platform.reopen()
    const record = await platform.plane.moves.many.start(request)
    expect(record).toMatchObject({ state: 'moved', counts: { waiting: 0, underWay: 0, failed: 0, moved: 12 } })

    for (const load of loads) {
      const verdict = await load.stop()
      expect(verdict).toMatchObject({ lost: [], duplicated: [], stale: [], failures: [] })
      expect(verdict.acknowledged).toBeGreaterThan(0)
    }
    for (const slug of slugs.filter((each) => !writing.includes(each)))
      expect(await digestOf(slug)).toEqual(before.get(slug))
    expect([await digestOf('neighbour'), await digestOf('paying')]).toEqual(neighbours)
    // Each tenant was moved once: what was moved before the kill was not touched again.
    const { rows: moves } = await platform.admin.query(
      `select count(*)::int as n, count(distinct tenant_id)::int as tenants from rowhouse.move where bulk_name = 'consolidate'`,
    )
    expect(moves).toEqual([{ n: 12, tenants: 12 }])

    const { done, failed } = await platform.plane.moves.many.complete('consolidate')
    expect([done.toSorted(), failed]).toEqual([slugs, []])
    expect(await stateOf('consolidate')).toBe('completed')
    expect(await platform.plane.findOrphans()).toEqual([])
    const { rows: left } = await platform.admin.query(
      `select count(*)::int as n from pg_database where datname in (select source ->> 'database' from rowhouse.move where bulk_name = 'consolidate')`,
    )
    expect(left).toEqual([{ n: 0 }])
    const { rows: written } = await platform.admin.query(
      `select count(*)::int as n from shipment s join rowhouse.tenant t on t.id = s.tenant_id where t.plan = 'free'`,
    )
    const planned = plan.tenants.reduce((sum, { rows }) => sum + rows, 0)
    const grown = ((await sizeOf()) - sharedBefore) * (planned / written[0].n)
    const ratio = plan.after.diskBytes / grown
    console.log(
      JSON.stringify({
        beforeBytes: plan.before.diskBytes,
        afterPlanned: plan.after.diskBytes,
        afterMeasured: Math.round(grown),
        planned: plan.durationMs,
        moveMs: record.tenants.map(({ durationMs }) => durationMs),
        before: plan.before,
        after: plan.after,
      }),
    )
    expect(ratio).toBeGreaterThan(0.6)
    expect(ratio).toBeLessThan(1.7)
  }, 120_000)
})
