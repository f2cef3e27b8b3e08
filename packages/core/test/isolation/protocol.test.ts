import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { ContextStatements } from '../../src/isolation/context-statement.ts'
import { startProxy, type WireProxy } from '../support/proxy.ts'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

/** Message types the application sends: P parse, B bind, D describe, E execute, S sync, C close, Q simple query. */
let n: Neighbours
let proxy: WireProxy
let direct: Rowhouse
let pooled: Rowhouse
let unnamed: Rowhouse

beforeAll(async () => {
  n = await createNeighbours()
  proxy = await startProxy(n.database.appUrl)
  direct = await n.open({ url: proxy.url, lanes: 1, poolSize: 1 })
  pooled = await n.open({ url: proxy.url, lanes: 0, poolSize: 1 })
  unnamed = await n.open({ url: proxy.url, lanes: 1, poolSize: 1, preparedStatements: false })
  for (const rowhouse of [direct, pooled, unnamed]) {
    await rowhouse.withTenant('acme', (db) => db.transaction((tx) => tx.query('select 1')))
  }
})
beforeEach(() => proxy.reset())
afterAll(async () => {
  await n.close()
  await proxy.close()
})

const context = 'BE'
const settling = 'BE' // deferred constraints
const cleaning = 'BE' // reset

describe('a scoped statement', () => {
  it('is one round trip and one Sync: context, statement, cleaning, on a lane', async () => {
    await direct.withTenant('acme', async (db) => {
      proxy.reset()
      await db.many('select * from item where id = $1', [1])
    })
    expect(proxy.sent()).toBe(`${context}PBDE${cleaning}S`)
    expect(proxy.roundTrips()).toBe(1)
  })

  it('is parsed once: the third time it is bind, describe, execute only', async () => {
    await direct.withTenant('acme', async (db) => {
      for (let i = 0; i < 3; i++) await db.many('select id from item where id = $1', [i])
      proxy.reset()
      await db.many('select id from item where id = $1', [1])
    })
    expect(proxy.sent()).toBe(`${context}BDE${cleaning}S`)
    expect(proxy.roundTrips()).toBe(1)
  })

  it('is one round trip on a pooled connection and through rowhouse.pool', async () => {
    await pooled.withTenant('acme', async () => {
      proxy.reset()
      await pooled.pool.query('select * from item where id = $1', [1])
    })
    expect(proxy.sent()).toBe(`${context}PBDE${settling}${cleaning}S`)
    expect(proxy.roundTrips()).toBe(1)
  })

  it('is one round trip with unnamed statements throughout', async () => {
    await unnamed.withTenant('acme', async (db) => {
      await db.many('select id from item where id = $1', [1])
      await db.many('select id from item where id = $1', [1])
      proxy.reset()
      await db.many('select id from item where id = $1', [1])
    })
    expect(proxy.sent()).toBe('PBEPBEPBDEPBES')
    expect(proxy.roundTrips()).toBe(1)
  })

  it('never uses the simple protocol, in which statements can be stacked', async () => {
    await direct.withTenant('acme', async (db) => {
      await db.query('select 1')
      await db.transaction((tx) => tx.query('select 1'))
      await expect(db.query('select 1; select 2')).rejects.toMatchObject({
        code: 'ERR_STATEMENT_FAILED',
        sqlState: '42601',
      })
    })
    expect(proxy.sent()).not.toContain('Q')
  })

  it('keeps its tracking when the first use of a text fails: the next one works', async () => {
    await direct.withTenant('acme', async (db) => {
      for (const id of ['x', 'y', 'z', '1']) await db.many('select label from item where id = $1', [id]).catch(() => {})
      expect(await db.many('select label from item where id = $1', [1])).toEqual([{ label: 'acme1' }])
    })
  })
})

describe('a transaction', () => {
  it('costs one round trip per statement, and the context none of its own', async () => {
    await direct.withTenant('acme', async (db) => {
      proxy.reset()
      await db.transaction(async (tx) => {
        await tx.query('select 1')
        await tx.query('select 2')
      })
    })
    // BEGIN, two statements, COMMIT
    expect(proxy.roundTrips()).toBe(4)
    expect(proxy.sent().match(/S/g)?.length).toBe(4)
  })
})

describe('many statements at once', () => {
  it('share a lane without waiting for each other', async () => {
    const ids = await direct.withTenant('acme', async (db) => {
      proxy.reset()
      return Promise.all(Array.from({ length: 10 }, (_, i) => db.one<{ v: number }>('select $1::int as v', [i])))
    })
    expect(ids.map((row) => row.v)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(proxy.roundTrips()).toBeLessThan(10)
  })

  it('keep good and failing ones apart', async () => {
    const outcomes = await direct.withTenant('acme', (db) =>
      Promise.allSettled(
        Array.from({ length: 60 }, (_, i) => db.one<{ v: number }>('select 10 / $1::int as v', [i % 3])),
      ),
    )
    outcomes.forEach((outcome, i) => {
      if (i % 3 === 0) expect(outcome).toMatchObject({ status: 'rejected', reason: { sqlState: '22012' } })
      else expect(outcome).toMatchObject({ status: 'fulfilled', value: { v: Math.floor(10 / (i % 3)) } })
    })
  })

  it('go on when one of them could not be sent', async () => {
    const scope = vi.spyOn(ContextStatements.prototype, 'scope').mockImplementationOnce(() => {
      throw new Error('no bytes for this')
    })
    await expect(direct.withTenant('acme', (db) => db.query('select 1'))).rejects.toThrow('no bytes for this')
    scope.mockRestore()
    expect(await direct.withTenant('acme', (db) => db.many('select 1 as one'))).toEqual([{ one: 1 }])
  })
})
