/** The context Rowhouse itself puts in front of statements, before a fence, behind it, and in a snapshot older than it. */

import { Kysely, PostgresDialect } from 'kysely'
import type { Rowhouse, ScopedDb } from 'rowhouse'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createDatabaseHome, type Home, openSharedHome } from '../support/home.ts'
import { createNeighbours, type Neighbours, SCHEMA } from '../support/tenants.ts'
import { type HandMadeMove, lockTenant, lowerFence, raiseFence, switchHome } from './hand-made-move.ts'

let n: Neighbours
let lives: Home
let other: Home
let epoch = 1
beforeAll(async () => {
  n = await createNeighbours()
  lives = n.homeOf(n.a)
  other = await createDatabaseHome()
  await other.admin.query(SCHEMA)
  await other.admin.query(`insert into item values ($1, 1, 'not yours')`, [n.b.id])
})
afterEach(async () => {
  for (const { admin } of [lives, other]) await admin.query('delete from item where id >= 100')
})
afterAll(async () => {
  await n.close()
  await other.close()
})

const knownAll = { directoryTtlMs: 3_600_000 }

const move = (): HandMadeMove => ({
  central: n.admin,
  rootKey: n.database.rootKey,
  tenant: n.a,
  from: lives,
  to: other,
  epoch,
  tables: ['item', 'note'],
})

async function arrive(): Promise<void> {
  await switchHome(move())
  epoch++
  ;[lives, other] = [other, lives]
}

const giveUp = () => lowerFence(move())

/** The rows of ours written in a home. */
const writtenIn = async ({ admin }: Home) => {
  const { rows } = await admin.query('select id::int from item where tenant_id = $1 and id >= 100 order by id', [
    n.a.id,
  ])
  return rows.map(({ id }) => id as number)
}

/** Statements of ours that came back with an error, those sent again later included. */
const refusals = ({ usage }: Rowhouse) => usage.snapshot().find(({ slug }) => slug === 'acme')?.errors ?? 0

const INSERT = `insert into item (id, label) values ($1, 'new')`
type Way = (rowhouse: Rowhouse, db: ScopedDb, id: number) => Promise<unknown>

const inBlock =
  (begin: string): Way =>
  async (rowhouse, _, id) => {
    const client = await rowhouse.pool.connect()
    try {
      await client.query(begin)
      await client.query(INSERT, [id])
      await client.query('commit')
    } finally {
      client.release()
    }
  }

const WAYS: Record<string, Way> = {
  'a statement on a lane': (_, db, id) => db.query(INSERT, [id]),
  'a statement on a pooled connection': (_, db, id) => db.query(`/* pooled */ ${INSERT}`, [id]),
  'rowhouse.pool.query()': (rowhouse, _, id) => rowhouse.pool.query(INSERT, [id]),
  'a transaction': (_, db, id) => db.transaction((tx) => tx.query(INSERT, [id])),
  'a REPEATABLE READ transaction': (_, db, id) =>
    db.transaction({ isolation: 'repeatable read' }, (tx) => tx.query(INSERT, [id])),
  'a SERIALIZABLE transaction': (_, db, id) =>
    db.transaction({ isolation: 'serializable' }, (tx) => tx.query(INSERT, [id])),
  'a checked-out connection': async (rowhouse, _, id) => {
    const client = await rowhouse.pool.connect()
    await client.query(INSERT, [id]).finally(() => client.release())
  },
  'a block by hand': inBlock('begin'),
  'a SERIALIZABLE block by hand': inBlock('begin isolation level serializable'),
  'a transaction of Kysely': (rowhouse, _, id) =>
    new Kysely<{ item: { id: number; label: string } }>({ dialect: new PostgresDialect({ pool: rowhouse.pool }) })
      .transaction()
      .execute((tx) => tx.insertInto('item').values({ id, label: 'new' }).execute()),
  'a cursor': async (_, db) => {
    const found: unknown[] = []
    for await (const rows of db.cursor('select label from item where id < 10')) found.push(...rows)
    expect(found).toHaveLength(3)
  },
}

const LANES: Record<string, { lanes: number; preparedStatements?: boolean }> = {
  'with lanes': { lanes: 1 },
  'without lanes': { lanes: 0 },
  'without names': { lanes: 1, preparedStatements: false },
}

describe.each(Object.keys(LANES))('the context statement, %s', (kind) => {
  const options = { ...knownAll, ...LANES[kind] }

  it.each(Object.keys(WAYS))('lets nothing past the lock and the fence: %s', async (name) => {
    const way = WAYS[name] as Way
    const rowhouse = await n.open({ ...options, moveWaitMs: 0 })
    const use = (id: number) => rowhouse.withTenant('acme', (db) => way(rowhouse, db, id))
    const refused = {
      code: 'ERR_TENANT_MOVING',
      message: 'Cannot run the statement: the tenant is being moved; try again',
      retryable: true,
      retryAfterMs: 1_000,
      tenantId: n.a.id,
    }
    await use(100)
    await lockTenant(move())
    await expect(use(101)).rejects.toMatchObject(refused)
    await lives.admin.query('rollback')
    await raiseFence(move())
    await expect(use(102)).rejects.toMatchObject(refused)
    await giveUp()
    await use(103)
    expect(await writtenIn(lives)).toEqual(name === 'a cursor' ? [] : [100, 103])
    expect(await writtenIn(other)).toEqual([])
    await rowhouse.close()
  })

  it('lets all wait behind the fence, and write once, at the new home', async () => {
    const rowhouse = await n.open({ ...options, poolSize: 4, moveWaitMs: 60_000 })
    await rowhouse.withTenant('acme', (db) => db.query('select 1'))
    const before = refusals(rowhouse)
    await raiseFence(move())
    const ways = Object.values(WAYS)
    const all = ways.map((way, i) => rowhouse.withTenant('acme', (db) => way(rowhouse, db, 100 + i)))
    await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before + 4)
    await arrive()
    await Promise.all(all)
    // The last way reads.
    expect(await writtenIn(lives)).toEqual(ways.slice(0, -1).map((_, i) => 100 + i))
    expect(await writtenIn(other)).toEqual([])
    await rowhouse.close()
  })
})

describe('a transaction that was first', () => {
  it('holds the mover off until its end, in every isolation level', async () => {
    const rowhouse = await n.open(knownAll)
    const lock = async () => {
      await lockTenant({ ...move(), from: { ...lives, admin: n.admin } })
      await n.admin.query('rollback')
    }
    if (lives.admin !== n.admin) await raiseFence(move()).then(arrive)
    for (const isolation of ['read committed', 'repeatable read', 'serializable'] as const) {
      let locked: Promise<void> | undefined
      let isLocked = false
      await rowhouse.withTenant('acme', (db) =>
        db.transaction({ isolation }, async (tx) => {
          await tx.query('select 1')
          locked = lock().then(() => {
            isLocked = true
          })
          await tx.query(INSERT, [110])
          expect(isLocked).toBe(false)
          await tx.query('delete from item where id = 110')
        }),
      )
      await locked
    }
  })
})

describe('a statement that is under way when the fence goes up', () => {
  const LATE = `update item set label = 'late' where id = 1`
  let blocker: Home
  let rowhouse: Rowhouse
  beforeAll(async () => {
    if (lives.placement.model !== 'pooled') await raiseFence(move()).then(arrive)
    blocker = await openSharedHome(n.database)
    rowhouse = await n.open(knownAll)
  })
  afterAll(() => blocker.close())

  /** Lets an update wait for its row, runs `fence` meanwhile, and then lets it go on. Returns what the update said. */
  async function updateAcross(fence: () => Promise<void>): Promise<number | null> {
    await blocker.admin.query('begin')
    await blocker.admin.query('select from item where tenant_id = $1 and id = 1 for update', [n.a.id])
    const update = rowhouse.withTenant('acme', (db) => db.query(LATE))
    const waiting = async () =>
      (await n.admin.query(`select from pg_stat_activity where wait_event_type = 'Lock' and query = $1`, [LATE]))
        .rowCount
    await expect.poll(waiting).toBe(1)
    await fence()
    await blocker.admin.query('rollback')
    return (await update).rowCount
  }

  const labelAt = async ({ admin }: Home) =>
    (await admin.query('select label from item where tenant_id = $1 and id = 1', [n.a.id])).rows[0].label

  it('holds the mover off: what it writes moves with the tenant', async () => {
    let moved: Promise<void> | undefined
    const fence = async () => {
      moved = raiseFence(move()).then(arrive)
    }
    expect(await updateAcross(fence)).toBe(1)
    await moved
    expect(await labelAt(lives)).toBe('late')
    await raiseFence(move()).then(arrive)
    await lives.admin.query(`update item set label = 'acme1' where tenant_id = $1 and id = 1`, [n.a.id])
  })

  it('is acknowledged and lost where the fence is a flag without the lock (control)', async () => {
    const { id } = n.a
    const fence = async () => {
      await n.admin.query(`update rowhouse.resident set state = 'fenced' where tenant_id = $1`, [id])
      await arrive()
    }
    expect(await updateAcross(fence)).toBe(1)
    expect([await labelAt(lives), await labelAt(other)]).toEqual(['acme1', 'late'])
    await raiseFence(move()).then(arrive)
  })
})

describe('a snapshot older than the fence', () => {
  const writeInOldSnapshot = async (rowhouse: Rowhouse): Promise<unknown> => {
    const { admin } = lives
    await admin.query('begin isolation level repeatable read')
    const { rows } = await admin.query('select pg_export_snapshot() as id')
    await raiseFence({ ...move(), from: { ...lives, admin: second.admin } })
    const outcome = await rowhouse.withTenant('acme', async () => {
      const client = await rowhouse.pool.connect()
      await client.query('begin isolation level repeatable read')
      await client.query(`set transaction snapshot '${rows[0].id}'`)
      const result = await client.query(INSERT, [120]).then(
        () => client.query('commit').then(() => 'written'),
        (error) => client.query('rollback').then(() => error.code),
      )
      client.release()
      return result
    })
    await admin.query('rollback')
    await giveUp()
    return outcome
  }

  let second: Home
  beforeAll(async () => {
    if (lives.placement.model !== 'pooled') await raiseFence(move()).then(arrive)
    second = await openSharedHome(n.database)
  })
  afterAll(() => second.close())

  it('is refused with a retryable error: the row of the tenant is read again, locked', async () => {
    const rowhouse = await n.open(knownAll)
    expect(await writeInOldSnapshot(rowhouse)).toBe('40001')
    expect(await writtenIn(lives)).toEqual([])
  })

  it('writes behind the fence without that (control)', async () => {
    const rowhouse = await n.open(knownAll)
    const { rows } = await n.admin.query(`select pg_get_functiondef('rowhouse.hold()'::regprocedure) as text`)
    await n.admin.query(
      'create or replace function rowhouse.hold() returns boolean language sql volatile security definer return true',
    )
    expect(await writeInOldSnapshot(rowhouse)).toBe('written')
    expect(await writtenIn(lives)).toEqual([120])
    await n.admin.query(rows[0].text)
  })
})
