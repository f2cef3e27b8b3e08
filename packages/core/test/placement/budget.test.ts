import { createRowhouse, type Rowhouse, type RowhouseOptions, type ScopedDb } from 'rowhouse'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { ConnectionBudget } from '../../src/isolation/connection-budget.ts'
import { type Crowd, createCrowd } from './crowd.ts'

const DATABASES = 40
const BUDGET = 6
const ROUNDS = 2

let crowd: Crowd
beforeAll(async () => {
  crowd = await createCrowd(DATABASES)
})
afterAll(() => crowd.close())

const opened: Rowhouse[] = []
const restorers: (() => void)[] = []
afterEach(async () => {
  for (const restore of restorers.splice(0)) restore()
  for (const rowhouse of opened.splice(0)) await rowhouse.close()
})

let names = 0
async function open(options: Partial<RowhouseOptions> = {}): Promise<{ rowhouse: Rowhouse; name: string }> {
  const name = `budget-${++names}`
  const { appUrl: url, rootKey } = crowd.central
  const rowhouse = await createRowhouse({
    url,
    rootKey,
    applicationName: name,
    connectionsPerServer: BUDGET,
    lanes: 1,
    waitTimeoutMs: 20_000,
    ...options,
  })
  opened.push(rowhouse)
  return { rowhouse, name }
}

const backends = async (name: string) => {
  const text = 'select count(*)::int as n from pg_stat_activity where application_name = $1'
  return (await crowd.admin.query<{ n: number }>(text, [name])).rows[0]?.n ?? 0
}

/**
 * Lets the database count the application's backends, again and again, until told to stop. A connection that was closed
 * leaves its backend behind for the moment it takes to end, after its place was given back.
 */
async function watch(name: string): Promise<() => Promise<number[]>> {
  const seen: number[] = []
  let watching = true
  const loop = (async () => {
    while (watching) seen.push(await backends(name))
  })()
  return async () => {
    watching = false
    await loop
    return seen
  }
}

const COUNT = 'select count(*)::int as n, min(label) as label from item'

/** One piece of work; each returns whose rows it saw. */
const WORK: ((db: ScopedDb) => Promise<string>)[] = [
  async (db) => (await db.one<{ label: string }>(COUNT)).label,
  async (db) => (await db.one<{ label: string }>(`/* pooled */ ${COUNT}`)).label,
  (db) =>
    db.transaction(async (tx) => {
      await tx.query(`update item set label = label where id = 1`)
      return (await tx.one<{ label: string }>(COUNT)).label
    }),
  async (db) => {
    const labels = new Set<string>()
    for await (const rows of db.cursor<{ label: string }>('select label from item', [], { batchRows: 1 }))
      for (const { label } of rows) labels.add(label)
    return [...labels].join()
  },
]

describe(`${DATABASES} databases on ${BUDGET} connections`, () => {
  it('are all served, in turns, by reads, transactions and streams at once; the server never sees more', async () => {
    const { rowhouse, name } = await open()
    const stop = await watch(name)
    const places = recordPlaces()
    const served = new Map<string, number>()
    const wrong: string[] = []
    await Promise.all(
      crowd.tenants.flatMap(({ slug }) =>
        WORK.map(async (work) => {
          for (let round = 0; round < ROUNDS; round++) {
            const seen = await rowhouse.withTenant(slug, work)
            if (seen !== slug) wrong.push(`${slug} saw ${seen}`)
            served.set(slug, (served.get(slug) ?? 0) + 1)
          }
        }),
      ),
    )
    const seen = await stop()
    expect(wrong).toEqual([])
    expect([...served.values()]).toEqual(Array(DATABASES).fill(ROUNDS * WORK.length))
    expect(seen.length).toBeGreaterThan(20)
    expect(Math.max(...seen)).toBeLessThanOrEqual(BUDGET)
    expect(Math.max(...places)).toBe(BUDGET)
  })

  it('make progress together: while one keeps four callers busy, nobody waits for it to stop', async () => {
    const { rowhouse } = await open()
    let running = true
    let greedy = 0
    const [first, ...others] = crowd.tenants
    const crowding = Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        while (running) {
          await rowhouse.withTenant(first?.slug ?? '', WORK[i % WORK.length] as (typeof WORK)[number])
          greedy++
        }
      }),
    )
    await expect.poll(() => greedy).toBeGreaterThan(10)
    const before = greedy
    for (const { slug } of others) {
      expect(await rowhouse.withTenant(slug, (db) => db.one(COUNT))).toEqual({ n: 3, label: slug })
    }
    running = false
    await crowding
    expect(greedy).toBeGreaterThan(before)
  })

  it('open no connection per statement when two of them have much to do', async () => {
    const { rowhouse } = await open()
    const places = recordPlaces()
    const asked = Array.from({ length: 400 }, (_, i) => crowd.tenants[i % 2]?.slug as string)
    const seen = await Promise.all(asked.map((slug) => rowhouse.withTenant(slug, WORK[1] as (typeof WORK)[number])))
    expect(seen).toEqual(asked)
    expect(places.length).toBeLessThan(asked.length / 2)
  })

  it('refuse in bounded time, with server, setting and a time to come back, while transactions hold all of them', async () => {
    const { rowhouse, name } = await open({ waitTimeoutMs: 400 })
    const holders: Promise<unknown>[] = []
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    // One connection stays with the registry.
    for (const { slug } of crowd.tenants.slice(0, BUDGET - 1)) {
      await new Promise<void>((ready) => {
        const work = rowhouse.withTenant(slug, (db) =>
          db.transaction(async (tx) => {
            await tx.query('select count(*) from item')
            ready()
            await held
          }),
        )
        holders.push(work)
      })
    }
    expect(await backends(name)).toBe(BUDGET)
    const askedMs = performance.now()
    const outcomes = await Promise.allSettled(
      crowd.tenants.slice(10, 14).map(({ slug }, i) => rowhouse.withTenant(slug, WORK[i] as (typeof WORK)[number])),
    )
    expect(performance.now() - askedMs).toBeLessThan(10_000)
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'ERR_OVERLOADED',
          retryable: true,
          retryAfterMs: 400,
          message: `Cannot open another connection to server "main": all ${BUDGET} are in use and none came free within 400 ms; try again later, or raise connectionsPerServer`,
        },
      })
    }
    // Whoever has a connection, and the registry, go on.
    expect(await rowhouse.directory.find({ by: 'slug', value: 'tenant-30' })).toBeDefined()
    release()
    await Promise.all(holders)
    expect(await rowhouse.withTenant('tenant-10', (db) => db.one(COUNT))).toEqual({ n: 3, label: 'tenant-10' })
  })

  it('are let go when idle, all but the way to the registry', async () => {
    const { rowhouse, name } = await open()
    for (const { slug } of crowd.tenants.slice(0, BUDGET - 1)) await rowhouse.withTenant(slug, (db) => db.one(COUNT))
    expect(await backends(name)).toBe(BUDGET)
    await expect.poll(() => backends(name)).toBe(1)
    expect(await rowhouse.withTenant('tenant-0', (db) => db.one(COUNT))).toEqual({ n: 3, label: 'tenant-0' })
  })

  it('keep no place for databases that are gone or refuse: a hundred failures later all are there', async () => {
    const { rowhouse, name } = await open({ waitTimeoutMs: 5_000 })
    const gone = crowd.tenants[DATABASES - 1]
    await crowd.admin.query(`alter database ${gone?.database} rename to ${gone?.database}_gone`)
    const codes = new Set<string>()
    const attempts = Array.from({ length: 100 }, (_, i) =>
      rowhouse
        .withTenant(gone?.slug ?? '', WORK[i % WORK.length] as (typeof WORK)[number])
        .catch((error) => codes.add(error.code)),
    )
    await Promise.all(attempts)
    await crowd.admin.query(`alter database ${gone?.database}_gone rename to ${gone?.database}`)
    expect([...codes]).toEqual(['ERR_DATABASE_UNAVAILABLE'])
    const places = recordPlaces()
    const all = await Promise.all(
      crowd.tenants.map(({ slug }) => rowhouse.withTenant(slug, WORK[2] as (typeof WORK)[number])),
    )
    expect(all).toEqual(crowd.tenants.map(({ slug }) => slug))
    // Were places lost, fewer than the budget would be open at once.
    expect(Math.max(...places)).toBe(BUDGET)
    expect(await backends(name)).toBeLessThanOrEqual(BUDGET)
  })

  it('come back after every connection was cut at once', async () => {
    const { rowhouse, name } = await open({ waitTimeoutMs: 5_000 })
    const slugs = crowd.tenants.slice(0, 20).map(({ slug }) => slug)
    for (let round = 0; round < 3; round++) {
      const running = Promise.allSettled(
        slugs.map((slug, i) => rowhouse.withTenant(slug, WORK[i % WORK.length] as (typeof WORK)[number])),
      )
      await crowd.admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
        name,
      ])
      for (const outcome of await running)
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ERR_DATABASE_UNAVAILABLE' })
    }
    await expect
      .poll(() =>
        Promise.all(slugs.map((slug) => rowhouse.withTenant(slug, WORK[2] as (typeof WORK)[number]))).catch(() => []),
      )
      .toEqual(slugs)
  })
})

/** Records how many places were taken each time one was. */
function recordPlaces(): number[] {
  const places: number[] = []
  const { take } = ConnectionBudget.prototype
  const spy = vi.spyOn(ConnectionBudget.prototype, 'take').mockImplementation(async function (
    this: ConnectionBudget,
    holder,
  ) {
    const leave = await take.call(this, holder)
    places.push(this.open)
    return leave
  })
  restorers.push(() => spy.mockRestore())
  return places
}
