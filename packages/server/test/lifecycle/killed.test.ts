import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyCertificate } from '../../src/lifecycle/certificate.ts'
import { createPlatform, type Platform } from '../support/platform.ts'
import { inSlice } from '../support/slice.ts'

let platform: Platform

beforeAll(async () => {
  platform = await createPlatform()
  // A neighbour's table, which nothing but the last look reads.
  const { placement } = await platform.plane.provision({
    slug: 'neighbour',
    wish: { model: 'schema', server: 'old-1' },
  })
  neighbour = placement.schema ?? ''
})
afterAll(() => platform.close())

let neighbour = ''

/** What a test holds so that the erasure waits inside of a step: a statement, and where. `{home}` is the tenant's schema. */
const STOPS = {
  begin: { at: 'central', hold: () => 'lock table rowhouse.erasure in share mode' },
  count: { at: 'old', hold: (home: string) => `lock table ${home}.shipment in access exclusive mode` },
  close: { at: 'old', hold: () => 'lock table rowhouse.resident in share mode' },
  rows: { at: 'old', hold: (home: string) => `lock table ${home}.shipment in share mode` },
  namespace: { at: 'old', hold: (home: string) => `lock table ${home}.shipment in access share mode` },
  prove: { at: 'old', hold: () => `lock table ${neighbour}.leg in access exclusive mode` },
  // A run of this tenant that has ended, of which the journal forgets what it held.
  forget: {
    at: 'central',
    hold: () => `select from rowhouse_journal.workflow_status where workflow_uuid like 'offboard:%' for update`,
  },
  finish: { at: 'central', hold: () => 'lock table rowhouse.domain in access exclusive mode' },
} as const

function erase(slug: string): ChildProcess {
  const file = new URL('./erase-and-die.ts', import.meta.url).pathname
  const { adminUrl: CENTRAL_URL, rootKey: ROOT_KEY } = platform.central
  const env = { ...process.env, CENTRAL_URL, ROOT_KEY, MIGRATIONS: platform.migrations }
  return spawn(process.execPath, ['--conditions=source', '--import', 'tsx', file, slug], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** Holds what a step needs, runs `fn` when somebody waits for it, and lets go. */
async function whileHeld(at: 'central' | 'old', hold: string, fn: () => Promise<void>): Promise<void> {
  const connectionString = at === 'central' ? platform.central.adminUrl : platform.old.url
  const [client, watcher] = [new pg.Client({ connectionString }), new pg.Client({ connectionString })]
  await Promise.all([client.connect(), watcher.connect()])
  try {
    const { rows } = await client.query('select pg_backend_pid() as pid')
    await client.query(`begin; ${hold}`)
    const waits = async () =>
      (await watcher.query('select from pg_stat_activity where $1 = any (pg_blocking_pids(pid))', [rows[0].pid]))
        .rowCount
    await expect.poll(waits, { timeout: 60_000 }).toBeGreaterThan(0)
    await fn()
  } finally {
    await Promise.all([client.end(), watcher.end()])
  }
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

async function makeLeft(slug: string, model: 'pooled' | 'schema' | 'database') {
  const tenant = await platform.plane.provision({ slug, wish: { model, server: 'old-1' } })
  const app = await platform.openApp()
  await app.withTenant(slug, (db) =>
    db.query(`insert into shipment (reference) select 'R' || n from generate_series(1, 7000) n`),
  )
  await platform.plane.lifecycle.offboard(slug, { reason: 'contract ended', by: 'Ada', retainDays: 0 })
  const home = model === 'schema' ? (tenant.placement.schema ?? '') : 'public'
  return { id: tenant.id, home }
}

const CASES = [
  ...(Object.keys(STOPS) as (keyof typeof STOPS)[]).map((stop) => ['schema', stop] as const),
  ...(['begin', 'count', 'rows', 'finish'] as const).map((stop) => ['pooled', stop] as const),
  ...(['begin', 'prove', 'finish', 'forget'] as const).map((stop) => ['database', stop] as const),
]

describe('a process that is killed with -9', () => {
  it.each(inSlice(CASES, 4))(
    'while it erases a %s tenant, in step "%s": the next one finishes it',
    async (model, stop) => {
      const slug = `killed-${model}-${stop}`
      const { id, home } = await makeLeft(slug, model)
      const child = erase(slug)
      await whileHeld(STOPS[stop].at, STOPS[stop].hold(home), () => kill(child))
      const plane = await platform.reopen()
      const certificate = async () => (await plane.lifecycle.certificate(id))?.certificate
      await expect.poll(certificate, { timeout: 60_000 }).toBeDefined()
      const sealed = await plane.lifecycle.certificate(id)
      expect(verifyCertificate(platform.central.rootKey, sealed)).toEqual({ valid: true })
      // What the first process found is what is certified, whatever was gone when the second one came.
      const found = sealed?.certificate.erased.filter(({ table }) => table === 'shipment').map(({ rows }) => rows)
      expect(found).toContain(7_000)
      expect((await plane.lifecycle.show(id)).state).toBe('erased')
      expect(await plane.findOrphans()).toEqual([])
      await platform.onOld(async (client) => {
        const left = await client.query('select from shipment where tenant_id = $1', [id])
        expect(left.rowCount).toBe(0)
      })
    },
  )

  it('while it erases a tenant, which is held then: the next one stops, and goes on when the hold is lifted', async () => {
    const slug = 'killed-and-held'
    const { id, home } = await makeLeft(slug, 'schema')
    const child = erase(slug)
    await whileHeld(STOPS.namespace.at, STOPS.namespace.hold(home), () => kill(child))
    await platform.plane.lifecycle.hold(slug, { reason: 'case 12 C 345/26', by: 'Ada' })
    const plane = await platform.reopen()
    await expect(plane.lifecycle.erase(slug, { by: 'Ada' })).rejects.toMatchObject({ code: 'ERR_TENANT_HELD' })
    await platform.onOld(async (client) => {
      expect((await client.query('select from pg_namespace where nspname = $1', [home])).rowCount).toBe(1)
    })
    await plane.lifecycle.requestLift(slug, { by: 'Ada', reason: 'case closed' })
    await plane.lifecycle.confirmLift(slug, { by: 'Grace' })
    expect(await plane.lifecycle.erase(slug, { by: 'Ada' })).toMatchObject({ certificate: { tenantId: id } })
    expect(await plane.findOrphans()).toEqual([])
  })
})
