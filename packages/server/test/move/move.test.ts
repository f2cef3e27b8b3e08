import { randomUUID } from 'node:crypto'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Model } from '../../src/placing/placement-rules.ts'
import { createPlatform, type Platform } from '../support/platform.ts'

/** Every pair of placements, in one database, between databases, between PostgreSQL 18 and 15. */
let platform: Platform
let app: Rowhouse
beforeAll(async () => {
  platform = await createPlatform()
  app = await platform.openApp()
  for (const slug of ['mover', 'neighbour']) {
    await platform.plane.provision({ slug, wish: { model: 'pooled', server: 'main' } })
    await fill(slug, 50)
  }
})
afterAll(() => platform.close())

async function fill(slug: string, count: number): Promise<void> {
  await app.withTenant(slug, async (db) => {
    for (let i = 0; i < count; i += 1) {
      const { id } = await db.one<{ id: string }>('insert into shipment (reference) values ($1) returning id', [
        `${slug}-${randomUUID()}`,
      ])
      await db.query('insert into leg (id, shipment_id, note) values ($1, $1, $2)', [id, `leg of ${id}`])
    }
  })
}

const request = (model: Model, server: string, tenant = 'mover') => ({
  tenant,
  to: { model, server },
  reason: 'a test of moves',
  requestedBy: 'ops@rowhouse.example',
})

const all = (slug: string) =>
  app.withTenant(slug, (db) =>
    db.many('select s.id, s.reference, l.note from shipment s join leg l on l.shipment_id = s.id order by s.id'),
  )

/** Writes without end until told to stop; returns what was acknowledged. */
function writeAlong(slug: string): { stop(): Promise<{ inserted: string[]; failures: unknown[] }> } {
  let running = true
  const inserted: string[] = []
  const failures: unknown[] = []
  const writer = async () => {
    while (running) {
      const reference = randomUUID()
      try {
        await app.withTenant(slug, (db) => db.query('insert into shipment (reference) values ($1)', [reference]))
        inserted.push(reference)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  const writers = Promise.all([writer(), writer(), writer(), writer()])
  return {
    stop: async () => {
      running = false
      await writers
      return { inserted, failures }
    },
  }
}

const PAIRS: readonly (readonly [Model, string])[] = [
  ['schema', 'main'],
  ['database', 'main'],
  ['pooled', 'old-1'],
  ['schema', 'old-1'],
  ['database', 'old-1'],
  ['schema', 'main'],
  ['pooled', 'old-1'],
  ['database', 'main'],
  ['pooled', 'main'],
]

describe('a tenant that works', () => {
  it.each(PAIRS)('moves to %s on %s, loses nothing, and nobody else is touched', async (model, server) => {
    const [before, neighbour] = [await all('mover'), await all('neighbour')]
    const load = writeAlong('mover')
    const moved = await platform.plane.moves.start(request(model, server))
    const { inserted, failures } = await load.stop()
    expect(moved).toMatchObject({ state: 'switched', target: { model, server } })
    const { placement } = (await platform.plane.tenants.find('mover')) ?? {}
    expect(placement).toMatchObject({ model, server })
    const rows = await app.withTenant('mover', (db) => db.many<{ reference: string }>('select reference from shipment'))
    const known = new Set(rows.map(({ reference }) => reference))
    expect(inserted.filter((reference) => !known.has(reference))).toEqual([])
    expect(known.size).toBe(rows.length)
    expect(
      failures.map((error) => (error as { code?: unknown }).code).filter((code) => code !== 'ERR_TENANT_MOVING'),
    ).toEqual([])
    expect(await all('mover')).toEqual(before)
    expect(await all('neighbour')).toEqual(neighbour)
    expect(await platform.plane.moves.complete(moved.id)).toMatchObject({ state: 'completed' })
    expect(await all('mover')).toEqual(before)
    expect(await all('neighbour')).toEqual(neighbour)
    expect(await platform.plane.findOrphans()).toEqual([])
    // What the sequence gives next is new in the new home.
    await fill('mover', 1)
  })

  it('is not parted from shared rows the other server lacks', async () => {
    await platform.admin.query(`insert into port values ('AEJEA', 'Jebel Ali')`)
    await app.withTenant('mover', (db) =>
      db.query(`update shipment set port_code = 'AEJEA' where id = (select min(id) from shipment)`),
    )
    await expect(platform.plane.moves.start(request('pooled', 'old-1'))).rejects.toMatchObject({
      code: 'ERR_MOVE_IMPOSSIBLE',
      message:
        'Cannot move the tenant: rows of "shipment" refer to rows of "port" that the target lacks; bring that table to the same rows first',
    })
    expect((await platform.plane.tenants.find('mover'))?.placement).toMatchObject({ server: 'main', model: 'pooled' })
    await platform.onOld((old) => old.query(`insert into port values ('AEJEA', 'Jebel Ali')`))
    const { id } = await platform.plane.moves.start(request('pooled', 'old-1'))
    await platform.plane.moves.revert(id)
    await app.withTenant('mover', (db) => db.query('update shipment set port_code = null'))
  })

  it('takes the shared rows it refers to along into a database of its own', async () => {
    await platform.admin.query(`insert into port values ('NLRTM', 'Rotterdam'), ('BEANR', e'Ant\\twerp')`)
    await app.withTenant('mover', (db) => db.query(`update shipment set port_code = 'NLRTM'`))
    const ports = () => app.withTenant('mover', (db) => db.many('select * from port order by code'))
    const before = await ports()
    const { id } = await platform.plane.moves.start(request('database', 'old-1'))
    expect(await ports()).toEqual(before)
    await platform.plane.moves.revert(id)
    await app.withTenant('mover', (db) => db.query('update shipment set port_code = null'))
  })

  it('that fails after its switch has moved the tenant, and leaves nothing standing in the way', async () => {
    await platform.admin.query(`
      create function refuse_note() returns trigger language plpgsql as $$ begin raise 'no note'; end $$;
      create trigger refuse_note before update on rowhouse.move for each row
        when (new.progress ? 'pauseMs' and not old.progress ? 'pauseMs') execute function refuse_note()`)
    const moved = await platform.plane.moves.start(request('schema', 'main'))
    await platform.admin.query('drop function refuse_note cascade')
    expect(moved).toMatchObject({ state: 'switched' })
    expect(moved.progress.pauseMs).toBeUndefined()
    const { rowCount: freezes } = await platform.admin.query('select from rowhouse.ddl_freeze')
    expect(freezes).toBe(0)
    const { rows: triggers } = await platform.admin.query(
      `select tgrelid::regclass from pg_trigger where tgname ~ '^rowhouse_move_' and tgrelid = 'shipment'::regclass`,
    )
    expect(triggers).toEqual([])
    await platform.plane.moves.revert(moved.id)
  })

  it.each([
    ['aborted', 'pooled'],
    ['resumed', 'schema'],
  ] as const)('that was entered and never begun, because the process died, is %s', async (verb, model) => {
    const { id: tenantId } = (await platform.plane.tenants.find('mover')) ?? {}
    const id = randomUUID()
    const { target } = await platform.plane.moves.plan(request('schema', 'old-1'))
    await platform.admin.query(
      `insert into rowhouse.move (id, tenant_id, state, source, target, epoch, requested_by, reason)
       select $1, $2, 'planned', '{"server": "main", "model": "pooled"}', $3, epoch, 'ops', 'left alone'
         from rowhouse.placement where tenant_id = $2`,
      [id, tenantId, target],
    )
    const move = await platform.plane.moves[verb === 'aborted' ? 'abort' : 'resume'](id)
    expect(move.state).toBe(verb === 'aborted' ? 'aborted' : 'switched')
    expect((await platform.plane.tenants.find('mover'))?.placement.model).toBe(model)
    if (move.state === 'switched') await platform.plane.moves.revert(id)
    expect(await platform.plane.findOrphans()).toEqual([])
  })

  it('goes back with everything it wrote since', async () => {
    const moved = await platform.plane.moves.start(request('database', 'old-1'))
    await fill('mover', 5)
    await app.withTenant('mover', (db) => db.query(`update leg set note = 'changed after the switch' where id % 2 = 0`))
    await app.withTenant('mover', (db) => db.query('delete from shipment where id % 7 = 0'))
    const after = await all('mover')
    const load = writeAlong('mover')
    const reverted = await platform.plane.moves.revert(moved.id)
    const { inserted } = await load.stop()
    expect(reverted.state).toBe('reverted')
    expect((await platform.plane.tenants.find('mover'))?.placement).toMatchObject({ model: 'pooled', server: 'main' })
    expect(await all('mover')).toEqual(after)
    const rows = await app.withTenant('mover', (db) => db.many<{ reference: string }>('select reference from shipment'))
    const known = new Set(rows.map(({ reference }) => reference))
    expect(inserted.filter((reference) => !known.has(reference))).toEqual([])
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})
