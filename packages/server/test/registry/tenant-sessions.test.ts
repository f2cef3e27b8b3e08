/** Who works for one tenant is told from its neighbours, and a session that many share is not taken from them. */

import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { endTenantSessions, findTenantSessions } from '../../src/registry/tenant-sessions.ts'

const TENANT = '7000000001'
const NEIGHBOUR = '7000000002'

let database: TestDatabase
let operator: pg.Client
let sessions: { busy: pg.Client; idle: pg.Client; neighbour: pg.Client; mover: pg.Client }

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const connect = async () => {
  const client = new pg.Client(database.adminUrl)
  client.on('error', () => {})
  await client.connect()
  return client
}

beforeEach(async () => {
  operator = await connect()
  sessions = { busy: await connect(), idle: await connect(), neighbour: await connect(), mover: await connect() }
})
afterEach(async () => {
  for (const client of [operator, ...Object.values(sessions)]) await client.end().catch(() => {})
})

/** A statement that holds the tenant's lock until it is cancelled. */
const work = (client: pg.Client, key: string) =>
  client.query(`select pg_advisory_xact_lock_shared(${key}), pg_sleep(60)`).then(
    () => 'done',
    (error) => error.code,
  )

it('cancels the statement of a busy session, ends one that idles in a transaction, and leaves the others alone', async () => {
  const { busy, idle, neighbour, mover } = sessions
  const cancelled = work(busy, TENANT)
  const undisturbed = work(neighbour, NEIGHBOUR)
  await idle.query(`begin; select pg_advisory_xact_lock_shared(${TENANT})`)
  // Waits for the tenant's lock, as a fence does, and does not hold it.
  const waiting = mover.query(`select pg_advisory_lock(${TENANT})`)
  await expect.poll(async () => (await findTenantSessions(operator, TENANT)).length).toBe(2)
  const found = await findTenantSessions(operator, TENANT)
  expect(found.map((each) => each.idle).sort()).toEqual([false, true])
  await endTenantSessions(operator, found)
  expect(await cancelled).toBe('57014')
  expect((await busy.query('select 1 as works')).rows).toEqual([{ works: 1 }])
  await expect(idle.query('select 1')).rejects.toThrow()
  await waiting
  expect(await findTenantSessions(operator, NEIGHBOUR)).toHaveLength(1)
  // Who holds it alone shuts the tenant out, and works for nobody.
  expect(await findTenantSessions(operator, TENANT)).toEqual([])
  await endTenantSessions(operator, await findTenantSessions(operator, NEIGHBOUR))
  expect(await undisturbed).toBe('57014')
})
