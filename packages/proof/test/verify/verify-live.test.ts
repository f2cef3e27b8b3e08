/** What counts on live data: an answer without foreign rows, and an error only where a wall raised it. */

import { randomBytes, randomUUID } from 'node:crypto'
import { createTenantAdmin } from 'rowhouse/install'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createEmptyDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { type LiveCell, type VerifyLiveOptions, verifyLive } from '../../src/verify/verify-live.ts'
import { asAdmin, createSmallDatabase } from './small-schema.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createSmallDatabase()
  const tenants = createTenantAdmin({ url: database.adminUrl, rootKey: database.rootKey })
  for (const slug of ['acme', 'globex']) {
    const { id } = await tenants.create({ slug, name: slug })
    await run(`insert into item values ('${id}', 1, 'a')`)
  }
  await tenants.close()
})
afterAll(() => database.drop())

const run = (sql: string) => asAdmin(database, (admin) => admin.query(sql))

let mend: string | undefined
afterEach(async () => {
  if (mend !== undefined) await run(mend)
  mend = undefined
})

async function look(change: Partial<VerifyLiveOptions> = {}) {
  const report = await verifyLive({
    adminUrl: database.adminUrl,
    appUrl: database.appUrl,
    rootKey: database.rootKey,
    ...change,
  })
  const of = (table: string, alone: boolean): LiveCell | undefined =>
    report.cells.find((cell) => cell.table === table && (cell.attacker === '(no tenant)') === alone)
  return { report, of }
}

test('a table counts where the victim has a row of it, and a tenant got none', async () => {
  const { report, of } = await look()
  expect(of('public.item', false)).toMatchObject({ verdict: 'refused', how: 'own rows only' })
  expect(of('public.note', false)).toMatchObject({ verdict: 'not-applicable', how: 'there is no row to be seen in it' })
  expect(of('public.item', true)).toMatchObject({ verdict: 'refused', how: expect.stringMatching(/^42501: /) })
  expect(report).toMatchObject({ leaked: 0, isolated: true })
})

test('a wall that is missing leaks', async () => {
  mend = 'alter table item enable row level security'
  await run('alter table item disable row level security')
  const { report, of } = await look()
  expect(of('public.item', false)).toMatchObject({ verdict: 'leaked', how: 'a row of the victim was returned' })
  expect(report.isolated).toBe(false)
})

test('an error that no wall raised is no refusal', async () => {
  mend = 'drop policy careless on item'
  await run('create policy careless on item as restrictive using (1 / 0 = 1)')
  const { report, of } = await look()
  const divided = { verdict: 'not-applicable', how: expect.stringMatching(/^22012: .*division by zero/) }
  expect(of('public.item', false)).toMatchObject(divided)
  expect(report).toMatchObject({ leaked: 0, isolated: false })
})

test('with another root key nothing was tried, so nothing was refused', async () => {
  await expect(look({ rootKey: randomBytes(32).toString('hex') })).rejects.toMatchObject({
    code: 'ERR_CONFIG_INVALID',
    message: expect.stringMatching(/^Cannot seal tenants of this database/),
  })
})

test('with a key of the attacker that the database does not know, nothing was refused', async () => {
  const tenants = `where tenant_id <> '00000000-0000-0000-0000-000000000000'`
  mend = `update rowhouse.resident set key_version = key_version - 1 ${tenants}`
  await run(`update rowhouse.resident set key_version = key_version + 1 ${tenants}`)
  const { report, of } = await look()
  expect(of('public.item', false)).toMatchObject({
    verdict: 'not-applicable',
    how: expect.stringMatching(/^42501: Cannot reach tenant data: the database refused the tenant context/),
  })
  expect(report).toMatchObject({ leaked: 0, isolated: false })
})

test('where no pair of tenants was tried, refusing those without one is not isolation', async () => {
  mend = `delete from item; insert into item select id, 1, 'a' from rowhouse.tenant where slug in ('acme', 'globex')`
  await run(`delete from item; insert into item values ('${randomUUID()}', 1, 'a')`)
  const { report, of } = await look()
  expect(of('public.item', true)).toMatchObject({ verdict: 'refused' })
  expect(report).toMatchObject({ leaked: 0, isolated: false })
  expect(report.refused).toBeGreaterThan(0)
})

test('an operator whom the walls stop cannot look, and says so', async () => {
  const name = `test_reader_${randomBytes(4).toString('hex')}`
  mend = `drop owned by ${name}; drop role ${name}`
  await run(`create role ${name} login password 'x'; grant usage on schema rowhouse, public to ${name};
    grant select on all tables in schema rowhouse, public to ${name}`)
  const adminUrl = Object.assign(new URL(database.adminUrl), { username: name, password: 'x' }).href
  const { report, of } = await look({ adminUrl })
  expect(of('public.item', false)).toMatchObject({
    verdict: 'not-applicable',
    how: expect.stringMatching(/^the operator could not look: 42501: /),
  })
  expect(report.isolated).toBe(false)
})

test('an operator without rights in the schema of Rowhouse is told what is needed', async () => {
  const name = `test_nobody_${randomBytes(4).toString('hex')}`
  mend = `drop role ${name}`
  await run(`create role ${name} login password 'x'`)
  const adminUrl = Object.assign(new URL(database.adminUrl), { username: name, password: 'x' }).href
  await expect(look({ adminUrl })).rejects.toMatchObject({
    name: 'MigrationError',
    code: 'ERR_PRIVILEGE_MISSING',
    message: 'Cannot verify on live data with this login: permission denied for schema rowhouse; use a superuser',
  })
})

test('a connection that is not made ends the run', async () => {
  const name = `test_narrow_${randomBytes(4).toString('hex')}`
  mend = `drop role ${name}`
  await run(`create role ${name} login password 'x' connection limit 1 in role rowhouse_app`)
  const appUrl = Object.assign(new URL(database.appUrl), { username: name, password: 'x' }).href
  await expect(look({ appUrl })).rejects.toMatchObject({
    name: 'UnavailableError',
    code: 'ERR_DATABASE_UNAVAILABLE',
    message: expect.stringMatching(/^Cannot reach the database: too many connections for role/),
  })
})

test('what is missing is said before anything is tried', async () => {
  await expect(look({ adminUrl: '' })).rejects.toMatchObject({
    code: 'ERR_ADMIN_REQUIRED',
    message:
      'Cannot verify on live data without an operator login: set ROWHOUSE_ADMIN_URL, or give the URL of the database',
  })
  const empty = await createEmptyDatabase()
  try {
    await expect(look({ adminUrl: empty.adminUrl, appUrl: empty.appUrl })).rejects.toMatchObject({
      code: 'ERR_NOT_INSTALLED',
      message: `Cannot verify database "${empty.name}" on live data: Rowhouse is not installed in it; run "rowhouse install" first`,
    })
  } finally {
    await empty.drop()
  }
})
