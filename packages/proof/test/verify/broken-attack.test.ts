/** An attack that could not be made has been refused by nobody: it must never count as one that was. */

import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { UnavailableError } from 'rowhouse'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TestDatabase } from '../../../core/test/support/database.ts'
import type { Library } from '../../src/verify/arena.ts'
import { type Attempt, expectRefusal, leaked } from '../../src/verify/attack.ts'
import { ATTACKS } from '../../src/verify/attacks.ts'
import { type Stage, setStage } from '../../src/verify/stage.ts'
import type { OpenArena } from '../../src/verify/stage-arena.ts'
import { attackStage } from '../../src/verify/verify.ts'
import { asAdmin, createSmallDatabase } from './small-schema.ts'

let database: TestDatabase
let stage: Stage
let arena: OpenArena

beforeAll(async () => {
  database = await createSmallDatabase()
  stage = await setStage(database)
  arena = await stage.openArena('whole')
})

afterAll(async () => {
  await arena?.close()
  await stage?.close()
  await database.drop()
})

/** Runs statements, one after the other, where an attack expects to be refused. */
async function whereRefusalIsExpected(url: string, statements: readonly string[]): Promise<Attempt> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  try {
    return await expectRefusal(
      async () => {
        await client.connect()
        for (const sql of statements) await client.query(sql)
      },
      () => leaked('it was run'),
    )
  } finally {
    await client.end().catch(() => {})
  }
}

test.each([
  ['a backend that is ended', ['select pg_terminate_backend(pg_backend_pid())'], { code: '57P01' }],
  ['a statement that ran out of time', ['set statement_timeout = 1', 'select pg_sleep(5)'], { code: '57014' }],
])('expectRefusal() throws the error of %s', async (_, statements, error) => {
  await expect(whereRefusalIsExpected(database.adminUrl, statements)).rejects.toMatchObject(error)
})

test('expectRefusal() throws where the server has no room for the connection, or is not there', async () => {
  const name = `test_crowd_${randomBytes(4).toString('hex')}`
  await asAdmin(database, (admin) => admin.query(`create role ${name} login password 'x' connection limit 0`))
  const url = Object.assign(new URL(database.adminUrl), { username: name, password: 'x' }).href
  await expect(whereRefusalIsExpected(url, [])).rejects.toMatchObject({ code: '53300' })
  await asAdmin(database, (admin) => admin.query(`drop role ${name}`))
  await expect(whereRefusalIsExpected('postgres://nobody@127.0.0.1:1/x', [])).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  })
  await expect(
    expectRefusal(
      () => Promise.reject(new Error('Connection terminated unexpectedly')),
      () => leaked('it was run'),
    ),
  ).rejects.toThrow('Connection terminated unexpectedly')
})

test('expectRefusal() counts an error of a policy, and one without a code as other libraries throw it', async () => {
  expect(await whereRefusalIsExpected(database.appUrl, ['select * from item'])).toEqual({
    leaked: false,
    how: expect.stringMatching(/^42501: /),
  })
  const nameless = await expectRefusal(
    () => Promise.reject(new Error('No tenant in scope')),
    () => leaked('it was run'),
  )
  expect(nameless).toEqual({ leaked: false, how: 'error: No tenant in scope' })
})

const overloaded = () => new UnavailableError('ERR_OVERLOADED', 'Cannot run the statement: too many wait')

test('an attack that was not answered is void, though its control succeeds', async () => {
  const deaf: Stage = {
    ...stage,
    openArena: async (kind, weakness, change) => {
      const opened = await stage.openArena(kind, weakness, change)
      const library: Library = { ...opened.library, asTenant: () => Promise.reject(overloaded()) }
      return weakness === undefined ? { ...opened, library } : opened
    },
  }
  const report = await attackStage(deaf, {})
  expect(report).toMatchObject({ isolated: false, leaked: 0 })
  expect(report.controls.fired).toBe(report.controls.total)
  expect(report.void).toBeGreaterThan(50)
  const select = report.cells.filter(({ attack }) => attack === 'RLS-42')
  expect(select.length).toBeGreaterThan(0)
  for (const cell of select)
    expect(cell).toMatchObject({
      verdict: 'void',
      how: 'the attack broke: ERR_OVERLOADED: Cannot run the statement: too many wait',
      controlFired: true,
    })
})

/** Runs CTX-18 on a library that answers each call as `answer` says. */
async function callAtOnce(answer: (index: number, ask: () => ReturnType<Library['asTenant']>) => unknown) {
  let index = -1
  const library: Library = {
    ...arena.library,
    asTenant: async (...asked) => {
      index += 1
      return (await answer(index, () => arena.library.asTenant(...asked))) as Awaited<ReturnType<Library['asTenant']>>
    },
  }
  const attack = ATTACKS.find(({ id }) => id === 'CTX-18')
  const [cell] = attack?.cells(arena.facts) ?? []
  if (attack === undefined || cell === undefined) throw new Error('there is no attack CTX-18')
  return attack.attempt({ ...arena, library }, cell)
}

test('CTX-18 claims 200 of 200 calls only where 200 were answered', async () => {
  expect(await callAtOnce((_, ask) => ask())).toEqual({ leaked: false, how: '200 of 200 for the right tenant' })
  const some = await callAtOnce((index, ask) => (index % 10 === 0 ? Promise.reject(overloaded()) : ask()))
  expect(some).toEqual({
    leaked: false,
    broken: true,
    how: 'the attack broke: 20 of 200 calls were not answered, the first with ERR_OVERLOADED: Cannot run the statement: too many wait',
  })
  const wrong = await callAtOnce((index, ask) => {
    if (index === 0) return Promise.reject(overloaded())
    return index === 1 ? { rows: [{ tenant: arena.attacker.id }] } : ask()
  })
  expect(wrong).toEqual({ leaked: true, how: '1 of 200 calls were answered for the other tenant' })
})
