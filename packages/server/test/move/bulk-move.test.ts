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

/** Takes away a row that the load had inserted and does not come back to. */
async function takeOne(): Promise<number> {
  const text = `delete from shipment where id = (select min(id) from shipment where length(reference) > 30 and weight = 1)`
  return app.withTenant('paying', async (db) => (await db.query(text)).rowCount ?? 0)
}

/** Another operator: of another process in the long run, beside the first one in this process otherwise. */
async function startElsewhere(request: BulkStart): Promise<void> {
  if (!LONG) {
    await platform.plane.moves.many.start(request)
    return
  }
  const other = start(request)
  await once(other, 'exit')
  expect(other.exitCode).toBe(0)
}

async function sizeOf(): Promise<number> {
  await platform.admin.query('vacuum full shipment')
  const { rows } = await platform.admin.query(`select pg_total_relation_size('shipment') as bytes`)
  return Number(rows[0].bytes)
}

/** Twelve with `npm run test:long`: what all suites take together is bounded. */
const LONG = process.env.ROWHOUSE_TEST_LONG === '1'
const COUNT = LONG ? 12 : 4

describe(`${COUNT} databases consolidated into shared tables`, () => {
  const slugs = Array.from({ length: COUNT }, (_, n) => `own-${String(n + 1).padStart(2, '0')}`)
  const request: BulkStart = {
    ...common,
    name: 'consolidate',
    from: { model: 'database', server: 'main', plan: 'free', smallerThanBytes: 100_000_000 },
    to: { model: 'pooled', server: 'main' },
  }

  it('under writes, by a process that is killed with -9 and another one that goes on', async () => {
    for (const [n, slug] of slugs.entries()) await provision(slug, 'database', 400 * (COUNT - n), 'free')
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
    expect(plan.before.relations).toBeGreaterThan(COUNT * 400)
    expect(plan.after).toMatchObject({ connections: 0, relations: 0, backendBytes: 0 })

    const writing = [slugs[1], slugs.at(-1)] as string[]
    const loads = writing.map((slug) => writeAlong(app, slug))
    const child = start(request)
    await expect.poll(() => movedOf('consolidate'), { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
    expect(await stateOf('consolidate')).toBe('running')
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await expect.poll(() => stateOf('consolidate'), { timeout: 10_000 }).toBe('stopped')
    const then = await movedOf('consolidate')
    expect(then).toBeLessThan(COUNT)
    await platform.reopen()
    const record = await platform.plane.moves.many.start(request)
    expect(record).toMatchObject({ state: 'moved', counts: { waiting: 0, underWay: 0, failed: 0, moved: COUNT } })

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
    expect(moves).toEqual([{ n: COUNT, tenants: COUNT }])

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
    expect(ratio).toBeGreaterThan(0.7)
    expect(ratio).toBeLessThan(1.5)

    // The checker sees a row that is taken away behind its back.
    const control = writeAlong(app, 'paying')
    await expect.poll(takeOne, { timeout: 10_000 }).toBe(1)
    expect((await control.stop()).lost.length).toBe(1)
  }, 120_000)
})

describe('three tenants that go to another server together', () => {
  const slugs = ['small', 'middle', 'large']
  const request: BulkStart = {
    ...common,
    name: 'evacuate',
    tenants: slugs.toReversed(),
    to: { model: 'pooled', server: 'old-1' },
    concurrency: 1,
  }
  const serversOf = () =>
    Promise.all(slugs.map(async (slug) => (await platform.plane.tenants.find(slug))?.placement.server))

  /** Holds the target so that copies wait. */
  async function whileCopying<T>(name: string, fn: () => Promise<T>): Promise<T> {
    const holder = new pg.Client({ connectionString: platform.old.url })
    await holder.connect()
    await holder.query('begin; lock table shipment in exclusive mode')
    try {
      const copies = async () =>
        (await platform.plane.moves.many.list())
          .find((record) => record.name === name)
          ?.tenants.some(({ state }) => state === 'copying' || state === 'catching-up')
      await expect.poll(copies, { timeout: 30_000, interval: 50 }).toBe(true)
      return await fn()
    } finally {
      await holder.end()
    }
  }

  it('stop at the first one that fails, touch nothing that is done, and go on when asked again by two operators', async () => {
    for (const [n, slug] of slugs.entries()) await provision(slug, 'pooled', 10 ** (n + 1))
    const before = await Promise.all(slugs.map(digestOf))
    const { id } = (await platform.plane.tenants.find('middle')) ?? {}
    await platform.onOld((old) =>
      old.query(`insert into shipment (tenant_id, reference, weight) values ($1, 'somebody', 1)`, [id]),
    )
    const stopped = await platform.plane.moves.many.start(request)
    expect(stopped).toMatchObject({ state: 'stopped', counts: { moved: 1, failed: 1, waiting: 1, underWay: 0 } })
    expect(stopped.tenants).toMatchObject([
      { slug: 'small', state: 'switched', error: undefined },
      { slug: 'middle', state: 'aborted', error: expect.stringContaining('holds rows of the tenant already') },
      { slug: 'large', state: 'waiting', moveId: undefined },
    ])
    expect(await serversOf()).toEqual(['old-1', 'main', 'main'])
    await expect(platform.plane.moves.many.start({ ...request, tenants: ['large'] })).rejects.toMatchObject({
      code: 'ERR_IDEMPOTENCY_KEY_REUSED',
    })
    await platform.onOld((old) => old.query(`delete from shipment where reference = 'somebody'`))
    const [moved] = await Promise.all([platform.plane.moves.many.start(request), startElsewhere(request)])
    expect(moved).toMatchObject({ state: 'moved', counts: { moved: 3, failed: 0 }, etaMs: undefined })
    const { rows } = await platform.admin.query(
      `select count(*)::int as n from rowhouse.move where bulk_name = 'evacuate'`,
    )
    // One of each, and the one that was aborted.
    expect(rows).toEqual([{ n: 4 }])
    expect(await serversOf()).toEqual(['old-1', 'old-1', 'old-1'])
    expect(await Promise.all(slugs.map(digestOf))).toEqual(before)
    const { done, failed, record } = await platform.plane.moves.many.revert('evacuate')
    expect([done, failed, record.state]).toEqual([['large', 'middle', 'small'], [], 'reverted'])
    expect(await serversOf()).toEqual(['main', 'main', 'main'])
    expect(await Promise.all(slugs.map(digestOf))).toEqual(before)
  }, 60_000)

  it('allow as many failures as they are told to: the wave passes what fails', async () => {
    const { id } = (await platform.plane.tenants.find('middle')) ?? {}
    const stray = `insert into shipment (tenant_id, reference, weight) values ($1, 'somebody', 1)`
    await platform.onOld((old) => old.query(stray, [id]))
    const record = await platform.plane.moves.many.start({ ...request, name: 'patient', maxFailures: 2 })
    expect(record).toMatchObject({ state: 'stopped', counts: { moved: 2, failed: 1, waiting: 0 } })
    expect(await serversOf()).toEqual(['old-1', 'main', 'old-1'])
    await platform.onOld((old) => old.query(`delete from shipment where reference = 'somebody'`))
    await platform.plane.moves.many.revert('patient')
  }, 60_000)

  it('are paused, resumed and aborted as a whole; what was not switched stays where it was', async () => {
    const named = { ...request, name: 'hesitant' }
    const moving = platform.plane.moves.many.start(named)
    await whileCopying('hesitant', () => platform.plane.moves.many.pause('hesitant'))
    const first = async () => (await platform.plane.moves.many.find('hesitant')).tenants[0]?.state
    await expect.poll(first, { timeout: 30_000 }).toBe('catching-up')
    expect(await platform.plane.moves.many.find('hesitant')).toMatchObject({
      state: 'paused',
      counts: { waiting: 2, underWay: 1 },
    })
    await platform.plane.moves.many.resume('hesitant')
    await expect.poll(() => movedOf('hesitant'), { timeout: 30_000, interval: 20 }).toBe(1)
    await whileCopying('hesitant', () => platform.plane.moves.many.abort('hesitant'))
    const record = await moving
    expect(record.state).toBe('aborted')
    expect(record.tenants.filter(({ state }) => state === 'switched').length).toBe(
      (await serversOf()).filter((server) => server === 'old-1').length,
    )
    expect(record.counts.failed + record.counts.waiting).toBeGreaterThan(0)
    for (const verb of ['pause', 'resume'] as const)
      await expect(platform.plane.moves.many[verb]('hesitant')).rejects.toMatchObject({ code: 'ERR_MOVE_STATE' })
    await expect(platform.plane.moves.many.start(named)).rejects.toMatchObject({ code: 'ERR_MOVE_STATE' })
    await platform.plane.moves.many.revert('hesitant')
    expect(await serversOf()).toEqual(['main', 'main', 'main'])
    expect(await platform.plane.findOrphans()).toEqual([])
  }, 60_000)
})

describe('a bulk move is refused', () => {
  it.each([
    [{}, 'without saying which'],
    [{ tenants: [] }, 'without saying which'],
    [{ from: { model: undefined } }, 'without saying which'],
    [{ tenants: ['small'], limit: 0 }, 'limit is 0; wanted a whole number from 1 to 100000'],
    [{ tenants: ['small'], concurrency: 4 }, 'concurrency is 4; wanted a whole number from 1 to 3'],
    [{ tenants: ['small'], maxFailures: 0 }, 'maxFailures is 0'],
    [{ tenants: ['small'], name: 'No Name' }, 'Cannot name a bulk move "No Name"'],
    [{ tenants: ['small'], reason: ' x ' }, 'the reason has 1 characters, wanted 3 to 1000'],
    [{ from: { smallerThanBytes: -1 } }, 'smallerThanBytes is -1'],
  ])('%j', async (part, message) => {
    const asked = { ...common, name: 'refused', to: { model: 'pooled', server: 'old-1' } as const, ...part }
    await expect(platform.plane.moves.many.start(asked as BulkStart)).rejects.toThrow(message)
  })

  it('for tenants nobody knows, a name nobody knows, and when nobody is left to move', async () => {
    const asked = { ...common, name: 'nothing', to: { model: 'pooled', server: 'main' } as const }
    const { many } = platform.plane.moves
    await expect(many.start({ ...asked, tenants: ['nobody'] })).rejects.toMatchObject({ code: 'ERR_TENANT_NOT_FOUND' })
    await expect(many.start({ ...asked, tenants: ['small'] })).rejects.toMatchObject({
      code: 'ERR_MOVE_IMPOSSIBLE',
      message: 'Cannot start bulk move "nothing": no tenant can be moved: "small": it lives there already',
    })
    await expect(many.start({ ...asked, from: { plan: 'unheard-of' } })).rejects.toMatchObject({
      message: expect.stringContaining('no tenant is like that'),
    })
    for (const verb of ['find', 'pause', 'resume', 'abort', 'complete', 'revert'] as const)
      await expect(many[verb]('nothing')).rejects.toMatchObject({ code: 'ERR_MOVE_NOT_FOUND' })
  })
})
