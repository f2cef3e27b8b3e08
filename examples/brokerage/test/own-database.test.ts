import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeBook } from '../src/seed/make-book.ts'
import type { Browser } from './support/browser.ts'
import { startTestPlatform, type TestPlatform } from './support/test-platform.ts'

/** Three brokers with a database each, two of them on one server, and one in shared tables beside them. */
const SLUGS = ['lost', 'beside', 'elsewhere'] as const

let platform: TestPlatform
const brokers = new Map<string, Browser>()
const broker = (slug: string) => brokers.get(slug) as Browser
const count = async (slug: string) => (await broker(slug).json<{ total: number }>('/api/policies')).total

beforeAll(async () => {
  platform = await startTestPlatform()
  for (const slug of [...SLUGS, 'shared']) {
    const browser = await platform.makeBroker(slug, slug === 'shared' ? 'starter' : 'enterprise')
    brokers.set(slug, browser)
    await browser.post('/api/book', { csv: makeBook({ seed: slug, clients: 12, asOf: '2026-11-21' }) })
  }
})
afterAll(() => platform.stop())

async function homeOf(slug: string) {
  const { server, database } = (await platform.brokerage.plane.tenants.find(slug))?.placement ?? {}
  return { server: server ?? '', database: database ?? '' }
}

test('every broker of the plan has a database of its own, which nobody else’s login may enter', async () => {
  const homes = await Promise.all(SLUGS.map(homeOf))
  expect(new Set(homes.map(({ database }) => database)).size).toBe(SLUGS.length)
  for (const { server, database } of homes) {
    const open = await platform.asSuperuser(server, 'postgres', (client) =>
      client.query(
        `select has_database_privilege('public', $1, 'connect') as connect, has_database_privilege('public', $1, 'temp') as temp`,
        [database],
      ),
    )
    expect(open.rows).toEqual([{ connect: false, temp: false }])
  }
})

describe('one broker’s database', () => {
  test('goes back to a copy while the others go on', async () => {
    const { server, database } = await homeOf('lost')
    const before = new Map(
      await Promise.all([...brokers.keys()].map(async (slug) => [slug, await count(slug)] as const)),
    )
    await copyDatabase(server, database, `copy_of_${database}`)
    await platform.brokerage.rowhouse.withTenant('lost', (db) => db.query('delete from commission'))
    await platform.brokerage.rowhouse.withTenant('lost', (db) => db.query('delete from policy'))
    expect(await count('lost')).toBe(0)
    for (const slug of ['beside', 'elsewhere', 'shared']) {
      await broker(slug).post('/api/book', { csv: ONE_MORE })
    }
    await replaceDatabase(server, database, `copy_of_${database}`)
    await expect
      .poll(() =>
        broker('lost')
          .get('/api/policies')
          .then(({ status }) => status),
      )
      .toBe(200)
    expect(await count('lost')).toBe(before.get('lost'))
    for (const slug of ['beside', 'elsewhere', 'shared']) expect(await count(slug)).toBe((before.get(slug) ?? 0) + 1)
    expect(await platform.brokerage.plane.findOrphans()).toEqual([])
  })

  test('that is gone makes this broker unavailable, and no other', async () => {
    const { server, database } = await homeOf('lost')
    const others = await Promise.all(['beside', 'elsewhere', 'shared'].map(count))
    await platform.asSuperuser(server, 'postgres', (client) => client.query(`drop database ${database} with (force)`))
    // The first may have been on a connection that was cut; from then on it is the database that is not there.
    await broker('lost').get('/api/policies')
    for (const path of ['/api/policies', '/', '/sign-in']) {
      const { status, body, headers } = await broker('lost').get(path)
      expect(status, body).toBe(503)
      expect(headers['retry-after']).toBe('5')
      expect(JSON.parse(body)).toMatchObject({ code: 'ERR_DATABASE_UNAVAILABLE', detail: 'Try again shortly' })
    }
    expect(await Promise.all(['beside', 'elsewhere', 'shared'].map(count))).toEqual(others)
    const orphans = await platform.brokerage.plane.findOrphans()
    expect(orphans).toMatchObject([{ server, kind: 'placement', name: database, what: 'its database is not there' }])
  })
})

const ONE_MORE = `client_reference,client_name,client_kind,city,policy_number,carrier,line,premium,starts_on,ends_on
K99999,One More,business,Cork,ONE-MORE,OAK,PROP,10.00,2026-01-01,2027-01-01
`

/** As an operator would without further tools: a copy on the same server, made while nobody is connected. */
async function copyDatabase(server: string, from: string, to: string): Promise<void> {
  await platform.asSuperuser(server, 'postgres', async (client) => {
    await client.query(`alter database ${from} allow_connections false`)
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [from])
    await client.query(`create database ${to} template ${from}`)
    await client.query(`alter database ${from} allow_connections true`)
  })
}

/** CREATE DATABASE copies no rights: without the last statement everybody might enter. */
async function replaceDatabase(server: string, database: string, copy: string): Promise<void> {
  await platform.asSuperuser(server, 'postgres', async (client) => {
    await client.query(`drop database ${database} with (force)`)
    await client.query(`alter database ${copy} rename to ${database}`)
    await client.query(
      `revoke all on database ${database} from public; grant connect on database ${database} to rowhouse_app, rowhouse_migrator; grant create on database ${database} to rowhouse_owner`,
    )
  })
}
