/** Nothing is left on the server, however a run ends; and what a killed one had to leave, the next one removes. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TestDatabase } from '../../../core/test/support/database.ts'
import { openScratchServer } from '../../src/clone/scratch-database.ts'
import { setStage } from '../../src/verify/stage.ts'
import { attackStage, verify } from '../../src/verify/verify.ts'
import { asAdmin, createOperator, createSmallDatabase, type Operator } from './small-schema.ts'

let database: TestDatabase
let operator: Operator

beforeAll(async () => {
  database = await createSmallDatabase()
  operator = await createOperator(database)
})

afterAll(async () => {
  await operator.drop()
  await database.drop()
})

const urls = () => ({ adminUrl: operator.url(database), appUrl: database.appUrl })

async function expectNothingLeft(act: () => Promise<unknown>): Promise<void> {
  await act()
  expect(await operator.listScratch()).toEqual([])
}

test('nothing is left after an error on the way', () =>
  expectNothingLeft(async () => {
    const broken = new Error('the line of progress broke')
    await expect(
      verify({
        ...urls(),
        onProgress: (done) => {
          if (done === 2) throw broken
        },
      }),
    ).rejects.toBe(broken)
  }))

test('nothing is left when the application cannot log in', () =>
  expectNothingLeft(async () => {
    const appUrl = new URL(database.appUrl)
    appUrl.password = 'wrong'
    appUrl.username = 'nobody_at_all'
    await expect(verify({ ...urls(), appUrl: appUrl.href })).rejects.toThrow(/nobody_at_all/)
  }))

test.each([0, 1, 3])('an abort after %i copies leaves nothing', (copies) =>
  expectNothingLeft(async () => {
    const controller = new AbortController()
    const reason = new Error('no time')
    const onProgress = (done: number) => {
      if (done === copies) controller.abort(reason)
    }
    await expect(verify({ ...urls(), onProgress, signal: controller.signal })).rejects.toBe(reason)
  }),
)

test('an abort before the start does nothing at all', async () => {
  await expect(verify({ adminUrl: '', appUrl: '', signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow(
    'early',
  )
})

test('an abort while an attack runs leaves nothing', () =>
  expectNothingLeft(async () => {
    const signal = AbortSignal.timeout(700)
    await expect(verify({ ...urls(), signal })).rejects.toMatchObject({ name: 'TimeoutError' })
  }))

/** Ends the connections of the scratch databases' maker, as an operator or a restart would. */
async function cutConnections(where: string): Promise<void> {
  await asAdmin(database, (admin) =>
    admin.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'rowhouse-proof' and ${where}`,
      [database.name],
    ),
  )
}

test('a connection cut on the way is said, and nothing is left', () =>
  expectNothingLeft(async () => {
    const stage = await setStage(urls())
    await cutConnections('datname = $1')
    const error = await attackStage(stage, {}).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(Error)
    await stage.close()
    await stage.close()
  }))

test('verify says a cut connection with a code that allows to try again', () =>
  expectNothingLeft(async () => {
    let cut: Promise<void> | undefined
    const onProgress = (done: number) => {
      if (done === 1) cut = cutConnections('datname = $1')
    }
    await expect(verify({ ...urls(), onProgress })).rejects.toMatchObject({
      name: 'UnavailableError',
      code: 'ERR_DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/^Cannot go on in the scratch database: .*; run it again$/),
    })
    await cut
  }))

test('what a killed run left is removed by the next one, and a living run keeps its own', async () => {
  const live = await openScratchServer(operator.url(database))
  const kept = await live.create()
  const killed = startRun()
  try {
    await once(killed, 'message')
  } finally {
    killed.kill('SIGKILL')
  }
  await once(killed, 'exit')
  const left = (await operator.listScratch()).filter((name) => name !== kept)
  expect(left.length).toBeGreaterThan(0)
  await noBackendIn(left)
  const next = await openScratchServer(operator.url(database))
  const names = await operator.listScratch()
  expect(names.filter((name) => left.includes(name))).toEqual([])
  expect(names).toContain(kept)
  await next.close()
  await live.close()
  expect(await operator.listScratch()).not.toContain(kept)
})

function startRun(): ChildProcess {
  return fork(fileURLToPath(new URL('killed-run.ts', import.meta.url)), [operator.url(database), database.appUrl], {
    execArgv: ['--conditions=source', '--import', 'tsx'],
    stdio: 'inherit',
  })
}

/** PostgreSQL notices that a client is gone when it next has something to say to it. */
async function noBackendIn(names: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const busy = await asAdmin(database, async (admin) => {
      const { rowCount } = await admin.query(
        `select from pg_locks where locktype = 'advisory' and classid = 726012601
            and lpad(to_hex(objid::bigint), 8, '0') = any (select substr(n, 18, 8) from unnest($1::text[]) n)`,
        [names],
      )
      return (rowCount ?? 0) > 0
    })
    if (!busy) return
    await delay(20) // bounded poll
  }
  throw new Error('the lock of the killed run is still held')
}
