import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, type Platform } from '../support/platform.ts'
import { inSlice } from '../support/slice.ts'
import { STEP_LOCK, waitingStep } from './waiting-step.ts'

let platform: Platform

beforeAll(async () => {
  platform = await createPlatform({ steps: [waitingStep] })
})
afterAll(() => platform.close())

/** What a test holds so that a run waits inside of a step: a statement, and where. */
const STOPS = {
  register: { at: 'central', hold: 'lock table rowhouse.placement in access exclusive mode' },
  key: { at: 'old', hold: 'lock table rowhouse.resident in access exclusive mode' },
  tables: { at: 'old', hold: 'lock table rowhouse.applied_migration in access exclusive mode' },
  welcome: { at: 'old', hold: `select pg_advisory_xact_lock(${STEP_LOCK})` },
  open: { at: 'central', hold: 'lock table rowhouse.fleet_home in access exclusive mode' },
} as const

function start(slug: string, model: string): ChildProcess {
  const file = new URL('./provision-and-die.ts', import.meta.url).pathname
  const request = JSON.stringify({ slug, wish: { model, server: 'old-1' } })
  const { adminUrl: CENTRAL_URL, rootKey: ROOT_KEY } = platform.central
  const env = { ...process.env, CENTRAL_URL, ROOT_KEY, MIGRATIONS: platform.migrations }
  return spawn(process.execPath, ['--conditions=source', '--import', 'tsx', file, request], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** Holds what a step needs, runs `fn` when somebody waits for it, and lets go. */
async function whileHeld({ at, hold }: (typeof STOPS)[keyof typeof STOPS], fn: () => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: at === 'central' ? platform.central.adminUrl : platform.old.url })
  await client.connect()
  try {
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await client.query('begin')
    await client.query(hold)
    const watcher = new pg.Client({ connectionString: at === 'central' ? platform.central.adminUrl : platform.old.url })
    await watcher.connect()
    const waits = async () =>
      (await watcher.query('select from pg_stat_activity where $1 = any (pg_blocking_pids(pid))', [rows[0].pid]))
        .rowCount
    await expect.poll(waits, { timeout: 60_000 }).toBeGreaterThan(0)
    await fn()
    await watcher.end()
  } finally {
    await client.end()
  }
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

const CASES = (['schema', 'database'] as const).flatMap((model) =>
  (Object.keys(STOPS) as (keyof typeof STOPS)[])
    // A copied database is entered through its own connection, where this test holds nothing.
    .filter((stop) => model === 'schema' || stop === 'register' || stop === 'open')
    .map((stop) => [model, stop] as const),
)

describe('a process that is killed with -9', () => {
  it.each(inSlice(CASES, 3))(
    'while it makes a %s tenant, in step "%s": the next one finishes it',
    async (model, stop) => {
      const slug = `killed-${model}-${stop}`
      const child = start(slug, model)
      await whileHeld(STOPS[stop], () => kill(child))
      const plane = await platform.reopen()
      const request = { slug, wish: { model, server: 'old-1' } } as const
      const tenant = await plane.provision(request)
      expect(tenant).toMatchObject({ slug, state: 'active' })
      const app = await platform.openApp()
      expect(await app.withTenant(slug, (db) => db.many('select reference from shipment'))).toEqual([
        { reference: 'WELCOME' },
      ])
      expect(await plane.findOrphans()).toEqual([])
    },
  )

  it('is taken over by a process that only opens the control plane', async () => {
    const child = start('taken-over', 'schema')
    await whileHeld(STOPS.tables, () => kill(child))
    await platform.reopen()
    const state = async () => (await platform.plane.tenants.find('taken-over'))?.state
    await expect.poll(state, { timeout: 60_000 }).toBe('active')
    expect(await platform.plane.findOrphans()).toEqual([])
  })

  it('is left alone while it lives, also by a second process that opens the control plane', async () => {
    const child = start('not-yours', 'schema')
    await whileHeld(STOPS.tables, async () => {
      await platform.reopen()
      expect((await platform.plane.tenants.find('not-yours'))?.state).toBe('provisioning')
    })
    if (child.exitCode === null) await once(child, 'exit')
    expect(child.exitCode).toBe(0)
    expect((await platform.plane.tenants.find('not-yours'))?.state).toBe('active')
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})
