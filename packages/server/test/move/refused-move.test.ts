import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Model } from '../../src/placing/placement-rules.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'
import { createPlatform, type Platform } from '../support/platform.ts'
import { HISTORY_SCHEMA, writeAlong } from './history.ts'

let platform: Platform
let app: Rowhouse
let count = 0
const CANCEL_AFTER_MS = 600
let slug = ''
beforeAll(async () => {
  platform = await createPlatform({ cancelAfterMs: CANCEL_AFTER_MS }, HISTORY_SCHEMA)
  app = await platform.openApp()
  await platform.plane.provision({ slug: 'neighbour', wish: { model: 'pooled', server: 'main' } })
})
afterAll(() => platform.close())
beforeEach(async () => {
  count += 1
  slug = `mover-${count}`
  await platform.plane.provision({ slug, wish: { model: 'pooled', server: 'main' } })
  await app.withTenant(slug, (db) =>
    db.query('insert into shipment (reference, weight) select i::text, i from generate_series(1, 20) i'),
  )
})

const request = (model: Model, server: string, tenant = slug) => ({
  tenant,
  to: { model, server },
  reason: 'a test of moves',
  requestedBy: 'ops',
})
const rowsOf = () => app.withTenant(slug, (db) => db.one('select count(*)::int as n from shipment'))
const placementOf = async () => (await platform.plane.tenants.find(slug))?.placement
const HOME = { server: 'main', model: 'pooled' }

/** As it was: served, at home, nothing left behind. */
async function expectUntouched(): Promise<void> {
  expect(await placementOf()).toMatchObject(HOME)
  expect(await rowsOf()).toEqual({ n: 20 })
  expect(await platform.plane.findOrphans()).toEqual([])
  const { rows } = await platform.admin.query(`select tgname from pg_trigger where tgname ~ '^rowhouse_move_'`)
  expect(rows).toEqual([])
  expect((await platform.admin.query('select from rowhouse.captured_key')).rowCount).toBe(0)
  expect((await platform.admin.query('select from rowhouse.ddl_freeze')).rowCount).toBe(0)
}

describe('a move is refused', () => {
  it.each([
    [
      'to where the tenant lives',
      'pooled',
      'main',
      'ERR_MOVE_IMPOSSIBLE',
      'Cannot move the tenant: it lives there already',
    ],
    [
      'to a server nobody knows',
      'schema',
      'eu-9',
      'ERR_MOVE_IMPOSSIBLE',
      'Cannot move the tenant: the registry knows no server "eu-9"; add it with "rowhouse server add"',
    ],
  ] as const)('%s', async (_name, model, server, code, message) => {
    await expect(platform.plane.moves.start(request(model, server))).rejects.toMatchObject({ code, message })
    await expect(platform.plane.moves.plan(request(model, server))).rejects.toMatchObject({ code, message })
    await expectUntouched()
  })

  it('of a tenant nobody knows, without a reason, to a server that is drained', async () => {
    await expect(platform.plane.moves.start(request('schema', 'main', 'nobody'))).rejects.toMatchObject({
      code: 'ERR_TENANT_NOT_FOUND',
    })
    await expect(platform.plane.moves.start({ ...request('schema', 'main'), reason: ' ' })).rejects.toMatchObject({
      code: 'ERR_CAUSE_INVALID',
      message: 'Cannot move the tenant: the reason has 0 characters, wanted 3 to 1000; say why, others will read it',
    })
    await platform.plane.servers.drain('old-1')
    await expect(platform.plane.moves.start(request('schema', 'old-1'))).rejects.toMatchObject({
      code: 'ERR_MOVE_IMPOSSIBLE',
      message: 'Cannot move the tenant: server "old-1" is draining and takes no tenants',
    })
    await platform.plane.servers.activate('old-1')
    await expectUntouched()
  })

  it('by a login that policies bind', async () => {
    await platform.admin.query(`create role mover_weak login password 'x' createdb createrole in role rowhouse_migrator;
      grant rowhouse_owner to mover_weak; grant select on all tables in schema rowhouse to mover_weak`)
    const url = Object.assign(new URL(platform.central.adminUrl), { username: 'mover_weak', password: 'x' }).href
    const connections = new OperatorConnections(url)
    const { assertMovable } = await import('../../src/move/preflight.ts')
    const home = { server: 'main', model: 'pooled', database: undefined, schema: undefined } as const
    const target = { ...home, model: 'schema', schema: 't_aaaaaaaaaaaaaaaaaaaa_bbbbbbbbbbbb' } as const
    await expect(assertMovable(connections, home, target)).rejects.toMatchObject({ code: 'ERR_PRIVILEGE_MISSING' })
    await connections.close()
    await platform.admin.query('drop owned by mover_weak; drop role mover_weak')
  })

  it('into shared tables that hold rows of the tenant, which stay', async () => {
    const { id } = (await platform.plane.tenants.find(slug)) ?? {}
    const stray = await platform.onOld(async (old) => {
      await old.query(`insert into shipment (tenant_id, reference, weight) values ($1, 'somebody', 1)`, [id])
      return () => old.query('delete from shipment where tenant_id = $1', [id])
    })
    expect(stray).toBeDefined()
    await expect(platform.plane.moves.start(request('pooled', 'old-1'))).rejects.toMatchObject({
      code: 'ERR_MOVE_IMPOSSIBLE',
      message: expect.stringContaining('table "shipment" of the target holds rows of the tenant already'),
    })
    const left = await platform.onOld((old) => old.query('select reference from shipment where tenant_id = $1', [id]))
    expect(left.rows).toEqual([{ reference: 'somebody' }])
    await platform.onOld((old) => old.query('delete from shipment where tenant_id = $1', [id]))
    await expectUntouched()
  })

  it('when it is not where the verb wants it', async () => {
    const moved = await platform.plane.moves.start(request('schema', 'main'))
    for (const verb of ['pause', 'resume', 'abort'] as const) {
      await expect(platform.plane.moves[verb](moved.id)).rejects.toMatchObject({
        code: 'ERR_MOVE_STATE',
        message: `Cannot ${verb} the move of tenant "${slug}": it is switched`,
      })
    }
    await expect(platform.plane.moves.start(request('schema', 'old-1'))).rejects.toMatchObject({
      message: 'Cannot move the tenant: another move of it is not over; complete, revert or abort that one first',
    })
    await platform.plane.moves.complete(moved.id)
    await expect(platform.plane.moves.revert(moved.id)).rejects.toMatchObject({ code: 'ERR_MOVE_STATE' })
    await expect(platform.plane.moves.complete(moved.id)).rejects.toMatchObject({ code: 'ERR_MOVE_STATE' })
    await expect(platform.plane.moves.find('00000000-0000-4000-8000-000000000000')).rejects.toMatchObject({
      code: 'ERR_MOVE_NOT_FOUND',
    })
  })
})

/** Holds the target so that the copy waits, and lets an operator act meanwhile. */
async function whileCopying<T>(fn: (id: string) => Promise<T>): Promise<T> {
  const holder = new pg.Client({ connectionString: platform.old.url })
  await holder.connect()
  await holder.query('begin; lock table shipment in exclusive mode')
  try {
    const state = async () => (await platform.plane.moves.list(slug))[0]?.state
    await expect.poll(state, { timeout: 30_000 }).toBe('copying')
    return await fn((await platform.plane.moves.list(slug))[0]?.id ?? '')
  } finally {
    await holder.end()
  }
}

describe('while a tenant moves', () => {
  it('an operator pauses, resumes and aborts it; then nothing has happened', async () => {
    const load = writeAlong(app, slug)
    const moving = platform.plane.moves.start(request('pooled', 'old-1')).catch((error) => error)
    const id = await whileCopying(async (move) => {
      await platform.plane.moves.pause(move)
      return move
    })
    await expect.poll(async () => (await platform.plane.moves.find(id)).state).toBe('catching-up')
    expect(await platform.plane.moves.resume(id)).toMatchObject({ wish: undefined })
    expect(await moving).toMatchObject({ state: 'switched' })
    expect(await load.stop()).toMatchObject({ lost: [], duplicated: [], stale: [] })
    await platform.plane.moves.revert(id)
    const second = platform.plane.moves.start(request('pooled', 'old-1')).catch((error) => error)
    await whileCopying((move) => platform.plane.moves.abort(move))
    expect(await second).toMatchObject({
      code: 'ERR_MOVE_ABORTED',
      message: 'Cannot finish the move: an operator aborted it',
    })
    expect(await platform.plane.findOrphans()).toEqual([])
    expect(await placementOf()).toMatchObject(HOME)
  })

  it('tables are not truncated, and migrations wait', async () => {
    const moving = platform.plane.moves.start(request('pooled', 'old-1')).catch((error) => error)
    await whileCopying(async () => {
      await expect(platform.admin.query('truncate shipment')).rejects.toMatchObject({
        code: '55006',
        constraint: 'rowhouse_move_capture',
      })
      const { rows } = await platform.admin.query('select reason from rowhouse.ddl_freeze')
      expect(rows).toEqual([{ reason: 'tenants are being moved' }])
    })
    const { id } = await moving
    expect((await platform.admin.query('select from rowhouse.ddl_freeze')).rowCount).toBe(0)
    await platform.plane.moves.complete(id)
  })

  it('a transaction of another tenant that does not end delays nothing but the beginning', async () => {
    let end: () => void = () => {}
    const open = app.withTenant('neighbour', (db) =>
      db.transaction(async (tx) => {
        await tx.query('select count(*) from shipment')
        await new Promise<void>((resolve) => {
          end = resolve
        })
      }),
    )
    const moved = await platform.plane.moves.start(request('schema', 'main'))
    expect(moved).toMatchObject({ state: 'switched' })
    // Less than the time after which the cut ends what it waits for: it waited for nothing, and the neighbour works on.
    expect(moved.progress.pauseMs).toBeLessThan(CANCEL_AFTER_MS)
    end()
    await open
    await platform.plane.moves.complete(moved.id)
  })

  it('a transaction of its own that does not end is ended', async () => {
    let end: () => void = () => {}
    const open = app
      .withTenant(slug, (db) =>
        db.transaction(async (tx) => {
          await tx.query('select count(*) from shipment')
          await new Promise<void>((resolve) => {
            end = resolve
          })
          await tx.query(`insert into shipment (reference, weight) values ('too late', 1)`)
        }),
      )
      .catch((error) => error)
    const moved = await platform.plane.moves.start(request('schema', 'main'))
    expect(moved).toMatchObject({ state: 'switched' })
    expect(moved.progress.pauseMs).toBeGreaterThanOrEqual(CANCEL_AFTER_MS)
    end()
    expect(await open).toMatchObject({ code: 'ERR_DATABASE_UNAVAILABLE' })
    expect(await rowsOf()).toEqual({ n: 20 })
    await platform.plane.moves.complete(moved.id)
  })
})
