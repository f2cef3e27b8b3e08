/** Numbers given out in one home are not given out again in the next. */

import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { advanceSequence } from '../../src/tenant-data/advance-sequence.ts'

let database: TestDatabase
let admin: pg.Client

beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client(database.adminUrl)
  await admin.connect()
})

beforeEach(() => admin.query('drop sequence if exists number; create sequence number'))

afterAll(async () => {
  await admin.end()
  await database.drop()
})

const next = async () => (await admin.query<{ next: string }>(`select nextval('number') as next`)).rows[0]?.next

it('a fresh sequence goes on behind its very first number', async () => {
  await advanceSequence(admin, 'number', '1')
  expect(await next()).toBe('2')
})

it('a sequence that is behind catches up', async () => {
  await admin.query(`select setval('number', 5)`)
  await advanceSequence(admin, 'number', '70')
  expect(await next()).toBe('71')
})

it('a sequence that is ahead stays', async () => {
  await admin.query(`select setval('number', 90)`)
  await advanceSequence(admin, 'number', '70')
  expect(await next()).toBe('91')
})

it('one that was set to begin further on begins there', async () => {
  await admin.query(`select setval('number', 71, false)`)
  await advanceSequence(admin, 'number', '70')
  expect(await next()).toBe('71')
})
