import type pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, type Platform } from '../support/platform.ts'
import { inSlice } from '../support/slice.ts'
import { whileHeld } from './held.ts'
import { HISTORY_SCHEMA } from './history.ts'

/** Whatever a move makes belongs to an open move, or is found, said how to mend, and removed where it holds no rows. */
let platform: Platform
let app: Rowhouse
const ids: Record<string, string> = {}
let home = ''
let database = ''

beforeAll(async () => {
  platform = await createPlatform({}, HISTORY_SCHEMA)
  app = await platform.openApp()
  for (const slug of ['pooled', 'schema', 'database'] as const) {
    const made = await platform.plane.provision({ slug, wish: { model: slug, server: 'main' } })
    ids[slug] = made.id
    home = made.placement.schema ?? home
    database = made.placement.database ?? database
  }
})
afterAll(() => platform.close())

const GONE = '0123456789abcdef0123456789abcdef'
const trigger = (table: string) =>
  `create trigger rowhouse_move_${GONE}_insert after insert on ${table} for each row when (new.tenant_id is null)
   execute function rowhouse.capture_key('${GONE}', 'shipment', 'tenant_id', 'id')`
const UNPLACED = '00000000-0000-4000-8000-00000000dead'

interface Leftover {
  readonly kind: string
  readonly name: () => string
  readonly plant: () => string
  /** Where it is not removed: how the test takes it away. */
  readonly clean?: () => string
  /** Whose database it is in. @defaultValue the shared one of `main` */
  readonly place?: 'old' | 'own'
}

const LEFTOVERS: Readonly<Record<string, Leftover>> = {
  'a trigger on shared tables': {
    kind: 'trigger',
    name: () => `rowhouse_move_${GONE}_insert on public.shipment`,
    plant: () => trigger('shipment'),
  },
  'a trigger that was switched off': {
    kind: 'trigger',
    name: () => `rowhouse_move_${GONE}_insert on public.shipment`,
    plant: () => `${trigger('shipment')}; alter table shipment disable trigger rowhouse_move_${GONE}_insert`,
    place: 'old',
  },
  'a trigger in a schema': {
    kind: 'trigger',
    name: () => `rowhouse_move_${GONE}_insert on ${home}.shipment`,
    plant: () => trigger(`${home}.shipment`),
  },
  "a trigger in a tenant's database": {
    kind: 'trigger',
    name: () => `rowhouse_move_${GONE}_insert on public.shipment`,
    plant: () => trigger('shipment'),
    place: 'own',
  },
  'captured keys': {
    kind: 'captured-keys',
    name: () => GONE,
    plant: () =>
      `insert into rowhouse.captured_key (move_id, table_name, key) select '${GONE}', 'shipment', '{}' from generate_series(1, 3)`,
    place: 'own',
  },
  'a freeze of shared tables': {
    kind: 'freeze',
    name: () => 'shared tables',
    plant: () => freeze(''),
    place: 'old',
  },
  'a freeze of a home': { kind: 'freeze', name: () => home, plant: () => freeze(home) },
  'a fence in shared tables': {
    kind: 'fence',
    name: () => ids.pooled ?? '',
    plant: () =>
      `update rowhouse.resident set state = 'fenced', fenced_by = '${GONE}' where tenant_id = '${ids.pooled}'`,
  },
  "a fence in a tenant's database": {
    kind: 'fence',
    name: () => ids.database ?? '',
    plant: () => `update rowhouse.resident set state = 'fenced' where tenant_id = '${ids.database}'`,
    place: 'own',
  },
  'a mark': {
    kind: 'mark',
    name: () => ids.schema ?? '',
    plant: () => `update rowhouse.placement set moving_since = now() where tenant_id = '${ids.schema}'`,
  },
  'a schema': {
    kind: 'schema',
    name: () => 't_lost_0123456789ab',
    plant: () => 'create schema t_lost_0123456789ab',
    clean: () => 'drop schema t_lost_0123456789ab',
  },
  'a key': {
    kind: 'resident',
    name: () => UNPLACED,
    plant: () => `insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
                  values ('${UNPLACED}', 1, decode(repeat('00', 64), 'hex'), decode(repeat('00', 64), 'hex'))`,
    clean: () => `delete from rowhouse.resident where tenant_id = '${UNPLACED}'`,
    place: 'old',
  },
  'a role': {
    kind: 'role',
    name: () => 't_lost_0123456789ab',
    plant: () => 'create role t_lost_0123456789ab',
    clean: () => 'drop role t_lost_0123456789ab',
    place: 'old',
  },
}

const freeze = (of: string) =>
  `insert into rowhouse.ddl_freeze (home, reason, held_by, until) values ('${of}', 'tenants are being moved', 'rowhouse moves', now() + interval '1 h')`

async function at<T>(place: Leftover['place'], fn: (client: pg.Client) => Promise<T>): Promise<T> {
  if (place === 'old') return platform.onOld(fn)
  if (place === undefined) return fn(platform.admin)
  return platform.onDatabase(database, fn)
}

describe('what is left behind', () => {
  it.each(inSlice(Object.entries(LEFTOVERS), 6))('%s is found, and removed where it holds no rows', async (_, left) => {
    expect(await platform.plane.findOrphans()).toEqual([])
    await at(left.place, (client) => client.query(left.plant()))
    const found = await platform.plane.findOrphans()
    expect(found).toEqual([
      {
        server: left.place === 'old' ? 'old-1' : 'main',
        ...(left.place === 'own' && { database }),
        kind: left.kind,
        name: left.name(),
        what: expect.any(String),
        mend: expect.stringContaining(left.clean === undefined ? 'rowhouse orphans --remove' : left.name()),
      },
    ])
    expect(await platform.plane.removeOrphans()).toEqual(left.clean === undefined ? found : [])
    if (left.clean !== undefined) {
      expect(await platform.plane.findOrphans()).toEqual(found)
      await at(left.place, (client) => client.query(left.clean?.() ?? ''))
    }
    expect(await platform.plane.findOrphans()).toEqual([])
    for (const slug of Object.keys(ids)) await app.withTenant(slug, (db) => db.query('select from shipment'))
  })

  it('a database is found, also when its removal was cut short, and never removed', async () => {
    const name = 't_lost_0123456789ab'
    const { rows } = await platform.admin.query(
      `select shobj_description(oid, 'pg_database') as said from pg_database where datname = $1`,
      [database],
    )
    await platform.admin.query(`create database ${name}`)
    expect(await platform.plane.findOrphans()).toEqual([])
    await platform.admin.query(`comment on database ${name} is '${rows[0].said}'`)
    const wanted = [
      {
        server: 'main',
        kind: 'database',
        name,
        what: expect.any(String),
        mend: expect.stringContaining(`drop database ${name}`),
      },
    ]
    expect(await platform.plane.findOrphans()).toEqual(wanted)
    await platform.admin.query(`update pg_database set datconnlimit = -2 where datname = $1`, [name])
    expect(await platform.plane.removeOrphans()).toEqual([])
    expect(await platform.plane.findOrphans()).toEqual(wanted)
    await platform.admin.query(`drop database ${name}`)
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})

describe('a move in progress', () => {
  const request = {
    tenant: 'pooled',
    to: { model: 'schema', server: 'old-1' },
    reason: 'a move',
    requestedBy: 'test',
  } as const

  it('is not reported while it copies, is switched and is completed, and nothing of it is removed', async () => {
    const moving = platform.plane.moves.start(request).catch((error) => error)
    await whileHeld(platform.central.adminUrl, 'lock table shipment in row exclusive mode', async () => {
      expect((await platform.admin.query(`select from rowhouse.ddl_freeze`)).rowCount).toBe(1)
      expect(await platform.plane.findOrphans()).toEqual([])
      expect(await platform.plane.removeOrphans()).toEqual([])
    })
    const moved = await moving
    expect(moved).toMatchObject({ state: 'switched' })
    expect(await platform.plane.findOrphans()).toEqual([])
    expect(await platform.plane.removeOrphans()).toEqual([])
    // The way back is still watched: nothing of it was taken for a leftover.
    await app.withTenant('pooled', (db) => db.query(`insert into shipment (reference, weight) values ('since', 1)`))
    await platform.plane.moves.revert(moved.id)
    expect(await app.withTenant('pooled', (db) => db.many('select reference from shipment'))).toEqual([
      { reference: 'since' },
    ])
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})
