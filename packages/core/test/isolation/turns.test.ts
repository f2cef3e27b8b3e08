import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

/** Turns between databases are another matter, of the connection budget: `placement/budget.test.ts`. */
let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours()
})
afterAll(() => n.close())

describe('tenants that share a database', () => {
  it('take turns: a full queue of one delays another by one statement', async () => {
    const rowhouse = await n.open({ poolSize: 1 })
    const order: string[] = []
    const work = (slug: string) => rowhouse.withTenant(slug, (db) => db.transaction(async () => void order.push(slug)))
    // Found once, both tenants enter the queue without a look-up in between.
    for (const slug of ['acme', 'globex']) await rowhouse.withTenant(slug, (db) => db.query('select 1'))
    const holder = await rowhouse.withTenant('acme', () => rowhouse.pool.connect())
    const all = [...Array.from({ length: 20 }, () => work('acme')), work('globex')]
    await new Promise((resolve) => setImmediate(resolve))
    holder.release()
    await Promise.all(all)
    expect(order.indexOf('globex')).toBeLessThanOrEqual(2)
  })
})
