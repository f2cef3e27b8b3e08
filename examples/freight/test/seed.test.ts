import { createRowhouse, type Rowhouse } from 'rowhouse'
import { createTenantAdmin, install } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withAdminClient } from '../../../packages/core/test/support/admin-client.ts'
import { createEmptyDatabase, type TestDatabase } from '../../../packages/core/test/support/database.ts'
import { applyFreightSchema } from '../src/schema.ts'
import { tenantProfiles } from '../src/seed/profiles.ts'
import { seedFreight } from '../src/seed/seed.ts'
import { inTurn } from './support/in-turn.ts'

/** More than one chunk for the first tenant, so that there is something to interrupt. */
const SHIPMENTS = 9_000
const asOf = new Date('2026-11-21T00:00:00Z')
const profiles = tenantProfiles(2)

interface Home {
  readonly database: TestDatabase
  readonly rowhouse: Rowhouse
}

const homes: Home[] = []

async function openHome(): Promise<Home> {
  const database = await createEmptyDatabase()
  const { adminUrl: url, rootKey, appPassword } = database
  await inTurn(url, () => install({ url, rootKey, appPassword }))
  await applyFreightSchema(url)
  const admin = createTenantAdmin({ url, rootKey })
  for (const { slug, name } of profiles) await admin.create({ slug, name })
  await admin.close()
  // A second seed waits for the chunk of the first one, which on a busy machine takes longer than the default bound.
  const rowhouse = await createRowhouse({ url: database.appUrl, rootKey, lockTimeoutMs: 60_000 })
  const home = { database, rowhouse }
  homes.push(home)
  return home
}

afterAll(async () => {
  for (const { rowhouse, database } of homes) {
    await rowhouse.close()
    await database.drop()
  }
})

/** Everything but the tenants' ids, which differ from database to database. */
function contents({ database }: Home): Promise<string> {
  return withAdminClient(database.adminUrl, async (client) => {
    const { rows } = await client.query<{ sum: string }>(
      `select md5(string_agg(line, '' order by line)) as sum from (
         select (to_jsonb(s) - 'tenant_id')::text as line from shipment s
         union all select (to_jsonb(e) - 'tenant_id')::text from event e
         union all select (to_jsonb(i) - 'tenant_id')::text from invoice i
         union all select (to_jsonb(c) - 'tenant_id')::text from counter c) all_rows`,
    )
    return rows[0]?.sum ?? ''
  })
}

describe('seedFreight()', () => {
  let whole: Home
  beforeAll(async () => {
    whole = await openHome()
    const report = await seedFreight(whole.rowhouse, { profiles, shipments: SHIPMENTS, asOf })
    expect(report.shipments).toBe(SHIPMENTS)
    expect(report.rows).toBeGreaterThan(SHIPMENTS)
  })

  test('writes what was asked for, unevenly, and numbers without gaps', async () => {
    const figures = await Promise.all(
      profiles.map(({ slug }) =>
        whole.rowhouse.withTenant(slug, (db) =>
          db.one<{ shipments: number; counted: number }>(
            `select (select count(*)::int from shipment) as shipments,
                    (select sum(value)::int from counter where kind = 'shipment') as counted`,
          ),
        ),
      ),
    )
    expect(figures.map(({ shipments }) => shipments)).toEqual(figures.map(({ counted }) => counted))
    expect(figures.reduce((sum, { shipments }) => sum + shipments, 0)).toBe(SHIPMENTS)
    expect(figures[0]?.shipments).toBeGreaterThan(figures[1]?.shipments ?? 0)
  })

  test('writes nothing the second time, also when another size is asked for', async () => {
    const before = await contents(whole)
    const report = await seedFreight(whole.rowhouse, { profiles, shipments: 2 * SHIPMENTS, seed: 'other', asOf })
    expect(report).toMatchObject({ shipments: 0, rows: 0 })
    expect(await contents(whole)).toBe(before)
  })

  test('goes on where it was interrupted and ends with the same rows as an uninterrupted one', async () => {
    const home = await openHome()
    const stop = new AbortController()
    const interrupted = seedFreight(home.rowhouse, {
      profiles,
      shipments: SHIPMENTS,
      asOf,
      signal: stop.signal,
      onProgress: ({ done = 0 }) => {
        if (done > 0) stop.abort(new Error('interrupted'))
      },
    })
    await expect(interrupted).rejects.toThrow('interrupted')
    const rest = await seedFreight(home.rowhouse, { profiles, shipments: SHIPMENTS, asOf: new Date() })
    expect(rest.shipments).toBeGreaterThan(0)
    expect(rest.shipments).toBeLessThan(SHIPMENTS)
    expect(await contents(home)).toBe(await contents(whole))
  })

  test('run twice at the same time writes everything once', async () => {
    const home = await openHome()
    const run = () => seedFreight(home.rowhouse, { profiles, shipments: SHIPMENTS, asOf })
    const [one, other] = await Promise.all([run(), run()])
    expect(one.shipments + other.shipments).toBe(SHIPMENTS)
    expect(await contents(home)).toBe(await contents(whole))
  })

  test('makes times that agree with the status', async () => {
    const { wrong } = await whole.rowhouse.withTenant('acme', (db) =>
      db.one<{ wrong: number }>(
        `select count(*)::int as wrong from event e join shipment s on s.tenant_id = e.tenant_id and s.id = e.shipment_id
         where e.at > $1 or (e.kind = 'delivered' and s.status <> 'delivered')`,
        [asOf],
      ),
    )
    expect(wrong).toBe(0)
  })

  test('throws RangeError when there is not enough for every tenant', async () => {
    await expect(seedFreight(whole.rowhouse, { profiles, shipments: 30 })).rejects.toThrow(
      new RangeError('Cannot divide 30 shipments over 2 tenants: wanted a whole number of at least 40'),
    )
  })
})
