/** What a process does with the work of a tenant while that is behind a fence. */

import type { Rowhouse, RowhouseOptions, ScopedDb } from 'rowhouse'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDatabaseHome, type Home } from '../support/home.ts'
import { createNeighbours, type Neighbours, SCHEMA } from '../support/tenants.ts'
import { type HandMadeMove, lowerFence, raiseFence, switchHome } from './hand-made-move.ts'

let n: Neighbours
let homes: Home[]
let epoch = 1
beforeAll(async () => {
  n = await createNeighbours()
  homes = [n.homeOf(n.a), await createDatabaseHome(), await createDatabaseHome()]
  for (const { admin } of homes.slice(1)) {
    await admin.query(SCHEMA)
    await admin.query(`insert into item values ($1, 1, 'not yours')`, [n.b.id])
  }
})
afterAll(async () => {
  await n.close()
  for (const home of homes.slice(1)) await home.close()
})

const opened: Rowhouse[] = []
afterEach(async () => {
  for (const rowhouse of opened.splice(0)) await rowhouse.close()
})
async function open(options: Partial<RowhouseOptions> = {}): Promise<Rowhouse> {
  const rowhouse = await n.open({ directoryTtlMs: 3_600_000, poolSize: 2, lanes: 1, ...options })
  opened.push(rowhouse)
  await rowhouse.withTenant('acme', (db) => db.query('select 1'))
  await rowhouse.withTenant('globex', (db) => db.query('select 1'))
  return rowhouse
}

let home = 0
const move = (): HandMadeMove => ({
  central: n.admin,
  rootKey: n.database.rootKey,
  tenant: n.a,
  from: homes[home] as Home,
  to: homes[(home + 1) % homes.length] as Home,
  epoch,
  tables: ['item', 'note'],
})
const fence = () => raiseFence(move())
const arrive = async () => {
  await switchHome(move())
  epoch++
  home = (home + 1) % homes.length
}
const giveUp = () => lowerFence(move())

const refusals = ({ usage }: Rowhouse) => usage.snapshot().find(({ slug }) => slug === 'acme')?.errors ?? 0
const COUNT = 'select count(*)::int as n from item where id < 10'
const INSERT = 'insert into item (id, label) values ($1, $2)'

describe('sixteen writers while their tenant moves and moves are given up', () => {
  it('see no error; no row is lost, written twice or left behind, and each reads what it wrote', async () => {
    const rowhouse = await open({ poolSize: 6, connectionsPerServer: 14, moveWaitMs: 60_000 })
    const acknowledged: number[] = []
    const failures: unknown[] = []
    let running = true
    let next = 1_000
    const ways: ((db: ScopedDb, id: number, label: string) => Promise<unknown>)[] = [
      (db, id, label) => db.query(INSERT, [id, label]),
      (db, id, label) => db.query(`/* pooled */ ${INSERT}`, [id, label]),
      (_, id, label) => rowhouse.pool.query(INSERT, [id, label]),
      (db, id, label) => db.transaction((tx) => tx.query(INSERT, [id, label])),
      (db, id, label) =>
        db.transaction(async (tx) => {
          await tx.query('select count(*) from item')
          await tx.query(INSERT, [id, label])
        }),
      async (_, id, label) => {
        const client = await rowhouse.pool.connect()
        await client.query(INSERT, [id, label]).finally(() => client.release())
      },
    ]
    /** Requests answered since, by writer: a fence that all have met was not met by chance. */
    const answered = new Array<number>(16).fill(0)
    const writer = async (index: number) => {
      const label = `writer ${index}`
      const way = ways[index % ways.length] as (typeof ways)[number]
      let last = 0
      while (running) {
        const id = next++
        try {
          await rowhouse.withTenant('acme', (db) => way(db, id, label))
          acknowledged.push(id)
          last = id
          const [seen] = await rowhouse.withTenant('acme', (db) =>
            db.many<{ id: number }>('select max(id)::int as id from item where label = $1', [label]),
          )
          if (seen?.id !== last) failures.push(`${label} wrote ${last} and read ${seen?.id}`)
        } catch (error) {
          failures.push(error)
          return
        }
        answered[index] = (answered[index] ?? 0) + 1
      }
    }
    const writers = answered.map((_, index) => writer(index))
    const allAnswered = async () => {
      const before = [...answered]
      await expect.poll(() => answered.every((count, i) => count > (before[i] ?? 0)) || failures.length > 0).toBe(true)
    }
    for (let round = 0; round < 4; round++) {
      await allAnswered()
      const before = refusals(rowhouse)
      await fence()
      // Everything that was under way is answered or waits.
      await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before + 8)
      await (round === 2 ? giveUp() : arrive())
    }
    await allAnswered()
    running = false
    await Promise.all(writers)
    expect(failures).toEqual([])
    const { admin } = homes[home] as Home
    const { rows } = await admin.query('select id::int from item where tenant_id = $1 and id >= 1000 order by id', [
      n.a.id,
    ])
    expect(rows.map(({ id }) => id)).toEqual(acknowledged.toSorted((x, y) => x - y))
    await rowhouse.withTenant('acme', (db) => db.query('delete from item where id >= 1000'))
    expect(rowhouse.pool.waitingCount).toBe(0)
  })
})

describe('work that waits for its tenant', () => {
  it('holds no connection and no lane: a neighbour has all of them meanwhile', async () => {
    const rowhouse = await open({ poolSize: 2, moveWaitMs: 60_000 })
    await fence()
    const before = refusals(rowhouse)
    const transactions = Array.from({ length: 12 }, () =>
      rowhouse.withTenant('acme', (db) => db.transaction((tx) => tx.one(COUNT))),
    )
    const statements = Array.from({ length: 40 }, () => rowhouse.withTenant('acme', (db) => db.one(COUNT)))
    await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before + 40)
    // Both connections of the pool at once, each waiting for the other to be there as well.
    let here = 0
    let allHere = () => {}
    const together = new Promise<void>((resolve) => {
      allHere = resolve
    })
    const neighbours = [1, 2].map(() =>
      rowhouse.withTenant('globex', (db) =>
        db.transaction(async (tx) => {
          if (++here === 2) allHere()
          await together
          return tx.one(COUNT)
        }),
      ),
    )
    expect(await Promise.all(neighbours)).toEqual([{ n: 3 }, { n: 3 }])
    expect(await rowhouse.withTenant('globex', (db) => db.one(COUNT))).toEqual({ n: 3 })
    await giveUp()
    expect(await Promise.all([...transactions, ...statements])).toEqual(Array(52).fill({ n: 3 }))
  })

  it('gets a clear error when it has waited for moveWaitMs, and leaves nothing behind', async () => {
    const rowhouse = await open({ moveWaitMs: 150 })
    await fence()
    const late = {
      code: 'ERR_TENANT_MOVING',
      message: 'Cannot run the statement: the tenant is being moved and was not there again within 150 ms; try again',
      retryable: true,
      retryAfterMs: 1_000,
    }
    const ways: ((db: ScopedDb) => Promise<unknown>)[] = [
      (db) => db.one(COUNT),
      (db) => db.query(`/* pooled */ ${COUNT}`),
      (db) => db.transaction((tx) => tx.one(COUNT)),
      () => rowhouse.pool.query(COUNT),
      async () => {
        const client = await rowhouse.pool.connect()
        await client.query(COUNT).finally(() => client.release())
      },
      (db) => db.cursor(COUNT).next(),
      (db) => db.copyOut(`copy (${COUNT}) to stdout`),
    ]
    const outcomes = await Promise.allSettled(
      [...ways, ...ways].map((way) => rowhouse.withTenant('acme', (db) => way(db))),
    )
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: late })
    const { pool } = rowhouse
    expect([pool.waitingCount, pool.totalCount - pool.idleCount]).toEqual([0, 0])
    await giveUp()
    expect(await Promise.all(ways.slice(0, 3).map((way) => rowhouse.withTenant('acme', (db) => way(db))))).toHaveLength(
      3,
    )
  })

  it('ends with its AbortSignal, single or in a transaction', async () => {
    const rowhouse = await open({ moveWaitMs: 60_000 })
    await fence()
    const before = refusals(rowhouse)
    const abort = new AbortController()
    const { signal } = abort
    const single = rowhouse.withTenant('acme', (db) => db.query(COUNT, [], { signal }))
    const inTransaction = rowhouse.withTenant('acme', (db) => db.transaction({ signal }, (tx) => tx.one(COUNT)))
    const read = rowhouse.withTenant('acme', (db) => db.cursor(COUNT, [], { signal }).next())
    const all = Promise.allSettled([single, inTransaction, read])
    await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before + 3)
    abort.abort()
    for (const outcome of await all)
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'ERR_STATEMENT_CANCELLED', message: expect.stringContaining('cancelled by its AbortSignal') },
      })
    await giveUp()
    expect(await rowhouse.withTenant('acme', (db) => db.transaction((tx) => tx.one(COUNT)))).toEqual({ n: 3 })
  })

  it('is bounded in number', async () => {
    const rowhouse = await open({ moveWaitMs: 60_000, maxWaitingPerTenant: 3 })
    await fence()
    const all = Promise.allSettled(Array.from({ length: 8 }, () => rowhouse.withTenant('acme', (db) => db.one(COUNT))))
    const before = refusals(rowhouse)
    await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before + 8)
    await giveUp()
    const refused = (await all).filter((outcome) => outcome.status === 'rejected')
    expect(refused).toHaveLength(5)
    expect(refused[0]?.reason).toMatchObject({
      code: 'ERR_OVERLOADED',
      message: 'Cannot take more work now: 3 statements of this tenant wait for it to be moved; try again later',
    })
  })

  it('is told when Rowhouse closes', async () => {
    const rowhouse = await open({ moveWaitMs: 60_000 })
    await fence()
    const before = refusals(rowhouse)
    const waiting = rowhouse.withTenant('acme', (db) => db.one(COUNT))
    const refused = expect(waiting).rejects.toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
      message: 'Cannot run the statement: Rowhouse is closing',
    })
    await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before)
    await rowhouse.close()
    await refused
    await giveUp()
  })

  it('goes on where a fence is lowered between its refusal and the answer of the registry', async () => {
    const rowhouse = await open({ moveWaitMs: 60_000 })
    await fence()
    const find = rowhouse.directory.find
    let asked = 0
    const late = vi.spyOn(rowhouse.directory, 'find').mockImplementation(async (key) => {
      if (asked++ === 0) await giveUp()
      return find(key)
    })
    const { id } = n.a
    const context = rowhouse.withTenant(id, (db) => db.one(COUNT))
    expect(await context).toEqual({ n: 3 })
    late.mockRestore()
  })

  it('does not wait where nothing moves: a refusal without a fence is one at once', async () => {
    const rowhouse = await open({ moveWaitMs: 3_600_000 })
    const { admin } = homes[home] as Home
    await admin.query(`update rowhouse.resident set state = 'suspended' where tenant_id = $1`, [n.a.id])
    await expect(rowhouse.withTenant('acme', (db) => db.one(COUNT))).rejects.toMatchObject({
      code: 'ERR_ISOLATION_SEAL_REFUSED',
    })
    await admin.query(`update rowhouse.resident set state = 'active' where tenant_id = $1`, [n.a.id])
  })
})

describe('a transaction whose first statement found no home in time', () => {
  it('runs nothing more until it is ended, on a connection by hand', async () => {
    const rowhouse = await open({ moveWaitMs: 50 })
    await fence()
    await rowhouse.withTenant('acme', async () => {
      const client = await rowhouse.pool.connect()
      await client.query('begin')
      await expect(client.query(INSERT, [500, 'lost'])).rejects.toMatchObject({ code: 'ERR_TENANT_MOVING' })
      await giveUp()
      await expect(client.query(INSERT, [501, 'lost'])).rejects.toMatchObject({ code: 'ERR_TENANT_MOVING' })
      expect((await client.query('commit')).command).toBe('ROLLBACK')
      // The next block is one of its own, in the tenant's home.
      await client.query('begin')
      await client.query(INSERT, [502, 'kept'])
      await client.query('commit')
      client.release()
      const { rows } = await rowhouse.pool.query('delete from item where id >= 500 returning id::int')
      expect(rows).toEqual([{ id: 502 }])
    })
  })

  it('sends what was asked for meanwhile behind it, in order, over one connection', async () => {
    const rowhouse = await open({ moveWaitMs: 60_000 })
    const before = refusals(rowhouse)
    await rowhouse.withTenant('acme', async () => {
      const client = await rowhouse.pool.connect()
      await fence()
      const first = client.query(INSERT, [510, 'a'])
      await expect.poll(() => refusals(rowhouse)).toBeGreaterThan(before)
      const second = client.query(`update item set label = label || 'b' where id = 510`)
      const third = client.query(`delete from item where id = 510 returning label`)
      await giveUp()
      await Promise.all([first, second])
      expect((await third).rows).toEqual([{ label: 'ab' }])
      client.release()
      expect(rowhouse.pool.waitingCount).toBe(0)
    })
  })
})

describe('moveWaitMs', () => {
  it.each([-1, 1.5, Number.NaN])('refuses %s', async (moveWaitMs) => {
    await expect(n.open({ moveWaitMs })).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: `Cannot set moveWaitMs to ${moveWaitMs}: wanted a whole number from 0 up`,
    })
  })
})
