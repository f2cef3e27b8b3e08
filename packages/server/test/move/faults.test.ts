import pg from 'pg'
import type { Rowhouse, TenantId } from 'rowhouse'
import { parseRootKey } from 'rowhouse/install'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Model } from '../../src/placing/placement-rules.ts'
import { type FaultyNetwork, openFaultyNetwork } from '../support/faulty-network.ts'
import { createPlatform, type Platform } from '../support/platform.ts'
import { inSlice } from '../support/slice.ts'
import { whileHeld } from './held.ts'
import { HISTORY_SCHEMA, writeAlong } from './history.ts'

/** What networks, disks and people do to a move: the tenant is served in one home, nothing is lost, nothing is left. */
let platform: Platform
let app: Rowhouse
let network: FaultyNetwork
let count = 0
/** How often the mover said that it cannot let the tenant in yet. */
let undone = 0
const noteUndone = () => {
  undone += 1
}
const log = { debug() {}, info() {}, warn() {}, error: noteUndone }
let slug = ''

beforeAll(async () => {
  platform = await createPlatform({ cancelAfterMs: 300, fenceTimeoutMs: 1_000, log }, HISTORY_SCHEMA)
  network = await openFaultyNetwork(platform.old.port)
  // The plane reaches the old server through a network that fails; the application and the test do not.
  process.env.TEST_OLD_ADMIN_URL = Object.assign(new URL(platform.old.url), { port: String(network.port) }).href
  app = await platform.openApp({ moveWaitMs: 20_000, lockTimeoutMs: 30_000, statementTimeoutMs: 30_000 })
})
afterAll(async () => {
  await platform.close()
  await network.close()
})
beforeEach(async () => {
  count += 1
  slug = `mover-${count}`
  await make(slug)
})

async function make(name: string): Promise<void> {
  await platform.plane.provision({ slug: name, wish: { model: 'pooled', server: 'main' } })
  await app.withTenant(name, (db) =>
    db.query('insert into shipment (reference, weight) select i::text, i from generate_series(1, 20) i'),
  )
}

const request = (model: Model = 'pooled', server = 'old-1', tenant = slug) => ({
  tenant,
  to: { model, server },
  reason: 'a test of faults',
  requestedBy: 'ops',
})
const start = (...args: Parameters<typeof request>) =>
  platform.plane.moves.start(request(...args)).catch((error) => error)
const placementOf = async (name = slug) => (await platform.plane.tenants.find(name))?.placement
const rowsOf = (name = slug) => app.withTenant(name, (db) => db.one('select count(*)::int as n from shipment'))

async function expectUntouched(): Promise<void> {
  expect(await placementOf()).toMatchObject({ server: 'main', model: 'pooled' })
  await expectNothingLeft()
}

async function expectNothingLeft(): Promise<void> {
  expect(await platform.plane.findOrphans()).toEqual([])
  for (const look of [
    `select from pg_trigger where tgname ~ '^rowhouse_move_'`,
    'select from rowhouse.captured_key',
    'select from rowhouse.ddl_freeze',
  ]) {
    expect((await platform.admin.query(look)).rowCount).toBe(0)
    expect((await platform.onOld((old) => old.query(look))).rowCount).toBe(0)
  }
}

const NO_ANSWER = { code: 'ERR_MOVE_ABORTED', message: expect.stringContaining('a server did not answer in time') }
const RESIDENTS = 'lock table rowhouse.resident in access exclusive mode'

describe('a network that fails while the tenant is fenced', () => {
  it.each(inSlice(['swallow', 'cut'] as const, 1))(
    '(%s): it is let in again within the time, requests wait and go on',
    async (fault) => {
      const load = writeAlong(app, slug)
      const moving = start()
      // Admitting the tenant waits, with the old home fenced.
      const outMs = await whileHeld(platform.old.url, RESIDENTS, async () => {
        const { rows } = await platform.admin.query(`select state from rowhouse.resident where state = 'fenced'`)
        expect(rows).toHaveLength(1)
        const began = performance.now()
        network[fault]()
        // The network is still away when this is answered.
        await app.withTenant(slug, (db) =>
          db.query(`insert into shipment (reference, weight) values ('after the fault', 0)`),
        )
        return performance.now() - began
      })
      expect(outMs).toBeLessThan(4_000)
      network.heal()
      const outcome = await moving
      // A connection that is reset is tried again, and the network may be well by then.
      if (fault === 'swallow') expect(outcome).toMatchObject(NO_ANSWER)
      if (outcome.state === 'switched') await platform.plane.moves.revert(outcome.id)
      expect(await load.stop()).toMatchObject({ lost: [], duplicated: [], stale: [], failures: [] })
      await expectUntouched()
    },
  )

  it('at the server it leaves: it is let in again when the network is well', async () => {
    await platform.plane.moves.complete((await platform.plane.moves.start(request())).id)
    const load = writeAlong(app, slug)
    const moving = start('pooled', 'main')
    const { id } = (await platform.plane.tenants.find(slug)) ?? {}
    const row = `insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
                 values ('${id}', 1, decode(repeat('00', 64), 'hex'), decode(repeat('00', 64), 'hex'))`
    await whileHeld(platform.central.adminUrl, row, async () => {
      network.swallow()
      await expect.poll(() => undone, { timeout: 15_000 }).toBeGreaterThan(0)
    })
    network.heal()
    expect(await moving).toMatchObject(NO_ANSWER)
    expect(await load.stop()).toMatchObject({ lost: [], duplicated: [], stale: [], failures: [] })
    expect(await placementOf()).toMatchObject({ server: 'old-1' })
    await expectNothingLeft()
  })
})

/** Lets `fn` act when the copy is made and the rest is not. */
async function whilePaused<T>(moving: Promise<unknown>, fn: (id: string) => Promise<T>): Promise<T> {
  const current = async () => (await platform.plane.moves.list(slug))[0]
  let ended = false
  void moving.finally(() => {
    ended = true
  })
  await expect
    .poll(async () => ended || (await current())?.state === 'catching-up', { timeout: 30_000, interval: 20 })
    .toBe(true)
  const { id = '' } = (await current()) ?? {}
  try {
    return await fn(id)
  } finally {
    await platform.plane.moves.resume(id).catch(() => {})
  }
}

async function withPauses(fn: () => Promise<void>): Promise<void> {
  await platform.admin.query(`create or replace function pause_it() returns trigger language plpgsql as $$ begin new.wish := 'pause'; return new; end $$;
    create trigger pause_it before insert on rowhouse.move for each row execute function pause_it()`)
  try {
    await fn()
  } finally {
    await platform.admin.query('drop trigger pause_it on rowhouse.move')
  }
}

describe('tables that somebody alters behind the back of a move', () => {
  const IMPOSSIBLE = 'ERR_MOVE_IMPOSSIBLE'
  const ALTERED = [
    [
      'a column more on the source',
      'main',
      'alter table shipment add column odd text',
      'alter table shipment drop column odd',
      'other columns',
    ],
    [
      'a column more on the target',
      'old',
      `alter table shipment add column odd text default 'x'`,
      'alter table shipment drop column odd',
      'other columns',
    ],
    [
      'a table dropped on the target',
      'old',
      'alter table shipment rename to gone',
      'alter table gone rename to shipment',
      /altered or dropped tables meanwhile|tables of both homes differ/,
    ],
    [
      'a table dropped on the source',
      'main',
      'alter table shipment rename to gone',
      'alter table gone rename to shipment',
      /altered or dropped tables meanwhile|tables of both homes differ/,
    ],
    [
      'triggers switched off',
      'main',
      'alter table shipment disable trigger user',
      'select',
      'switched off the triggers',
    ],
  ] as const

  it.each(inSlice(ALTERED, 3))('%s: noticed before the switch', async (_, place, ddl, undo, said) => {
    const at = (sql: string) => (place === 'old' ? platform.onOld((old) => old.query(sql)) : platform.admin.query(sql))
    await withPauses(async () => {
      const moving = start()
      await whilePaused(moving, () => at(ddl))
      const answer = await moving
      await at(undo)
      expect(answer).toMatchObject({ code: IMPOSSIBLE, message: expect.stringMatching(said) })
    })
    await expectUntouched()
    expect(await rowsOf()).toEqual({ n: 20 })
  })

  it('TRUNCATE is refused on both sides, and our own migrations wait', async () => {
    await withPauses(async () => {
      const moving = start()
      await whilePaused(moving, async () => {
        const watched = () =>
          platform.onOld((old) => old.query(`select from pg_trigger where tgname ~ '^rowhouse_move_.*_truncate$'`))
        await expect.poll(async () => (await watched()).rowCount, { timeout: 10_000 }).toBe(1)
        const refusal = { code: '55006', constraint: 'rowhouse_move_capture' }
        await expect(platform.admin.query('truncate shipment')).rejects.toMatchObject(refusal)
        await expect(platform.onOld((old) => old.query('truncate shipment'))).rejects.toMatchObject(refusal)
      })
      await platform.plane.moves.complete((await moving).id)
    })
    await expectNothingLeft()
  })
})

describe('many at once', () => {
  it('20 tenants move between the same two servers, write meanwhile, and lose nothing', async () => {
    const slugs = Array.from({ length: 20 }, (_, n) => `many-${n}`)
    await Promise.all(slugs.map(make))
    const load = writeAlong(app, 'many-7')
    const moved = await Promise.all(
      slugs.map((name, n) => start(n % 2 === 0 ? 'pooled' : 'schema', n % 3 === 0 ? 'main' : 'old-1', name)),
    )
    for (const [n, each] of moved.entries()) {
      if (n % 6 === 0) expect(each).toMatchObject({ code: 'ERR_MOVE_IMPOSSIBLE' })
      else expect([n, each.state ?? each.message]).toEqual([n, 'switched'])
    }
    expect(await load.stop()).toMatchObject({ lost: [], duplicated: [], stale: [], failures: [] })
    await Promise.all(
      moved.filter(({ state }) => state === 'switched').map(({ id }) => platform.plane.moves.complete(id)),
    )
    for (const name of slugs.filter((each) => each !== 'many-7')) expect(await rowsOf(name)).toEqual({ n: 20 })
    await expectNothingLeft()
  }, 120_000)
})

describe('a target whose disk is full', () => {
  /** Stands for a disk that is full: PostgreSQL says 53100 when it cannot extend a file, and the statement is undone. */
  const FULL = `create function disk_full() returns trigger language plpgsql as $$
      begin raise exception 'could not extend file "base/5/16384": No space left on device' using errcode = '53100'; end $$;
    create trigger disk_full before insert on shipment for each row execute function disk_full();
    alter table shipment enable always trigger disk_full`

  it.each(inSlice(['after the copy', 'at the copy'], 1))(
    '%s: the move ends, the tenant stays, nothing of the copy is left',
    async (when) => {
      await withPauses(async () => {
        if (when === 'at the copy') await platform.onOld((old) => old.query(FULL))
        const moving = start()
        await whilePaused(moving, async () => {
          if (when === 'at the copy') return
          await platform.onOld((old) => old.query(FULL))
          await app.withTenant(slug, (db) => db.query(`update shipment set weight = weight + 1`))
        })
        expect(await moving).toMatchObject({
          code: 'ERR_MOVE_ABORTED',
          message: expect.stringContaining('No space left on device'),
        })
      })
      const { id } = (await platform.plane.tenants.find(slug)) ?? {}
      const left = await platform.onOld(async (old) => {
        await old.query('drop function disk_full cascade')
        return old.query('select from shipment where tenant_id = $1', [id])
      })
      expect(left.rowCount).toBe(0)
      await expectUntouched()
      expect(await rowsOf()).toEqual({ n: 20 })
    },
  )
})

describe('a move and a restore of one tenant', () => {
  /** As a restore does: alone with the tenant's rows, triggers off. */
  it('take turns: a move does not begin to capture while rows are written that no trigger sees', async () => {
    const { id = '' } = (await platform.plane.tenants.find(slug)) ?? {}
    const key = parseRootKey(platform.central.rootKey).deriveLockKey(id as TenantId)
    let moving: Promise<unknown> = Promise.resolve()
    const restoring = new pg.Client({ connectionString: platform.central.adminUrl })
    await restoring.connect()
    await restoring.query(`begin; select pg_advisory_xact_lock(${key}); set local session_replication_role = replica`)
    try {
      moving = start()
      const waits = `select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)) and application_name = 'rowhouse-server'`
      const { rows } = await restoring.query('select pg_backend_pid() as pid')
      const waiting = async () => (await platform.admin.query(waits, [rows[0].pid])).rowCount
      await expect.poll(waiting, { timeout: 20_000 }).toBe(1)
      await restoring.query('update shipment set weight = -1 where tenant_id = $1', [id])
      await restoring.query('commit')
    } finally {
      await restoring.end()
    }
    const moved = (await moving) as { id: string; state: string }
    expect(moved.state).toBe('switched')
    const restored = await app.withTenant(slug, (db) => db.one('select sum(weight)::int as sum from shipment'))
    expect(restored).toEqual({ sum: -20 })
    await platform.plane.moves.revert(moved.id)
    await expectUntouched()
  })
})
