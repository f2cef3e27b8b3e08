import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from 'rowhouse-embedded'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, DURABLE, type Platform } from '../support/platform.ts'
import { whileHeld } from './held.ts'
import { HISTORY_SCHEMA, writeAlong } from './history.ts'

/** A server that loses power while a tenant moves from it or to it. */
let platform: Platform
let dataDir: string
let restarted: Awaited<ReturnType<typeof startPostgres>> | undefined

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rowhouse-old-'))
  platform = await createPlatform({}, HISTORY_SCHEMA, { dataDir, settings: DURABLE })
})
afterAll(async () => {
  await platform.close()
  await restarted?.stop()
  await rm(dataDir, { recursive: true, force: true })
})

function killServer(): void {
  const [pid] = readFileSync(join(dataDir, 'pgdata', 'postmaster.pid'), 'utf8').split('\n')
  process.kill(Number(pid), 'SIGKILL')
}

const gone = () =>
  platform
    .onOld((client) => client.query('select 1'))
    .then(
      () => false,
      () => true,
    )

async function restart(): Promise<void> {
  restarted = await startPostgres({ dataDir, major: 15, settings: DURABLE, port: platform.old.port })
}

/** Kills the old server when the mover waits for what is held. */
const killWhenHeld = (url: string, hold: string) =>
  whileHeld(url, hold, async () => {
    killServer()
    await expect.poll(gone).toBe(true)
  })

const ask = (tenant: string, server: string) => ({
  tenant,
  to: { model: 'pooled' as const, server },
  reason: 'a server that is lost',
  requestedBy: 'test',
})

describe('a server that is killed with -9', () => {
  it('as the target of a copy: the tenant stays where it is, or arrives, and nothing is lost', async () => {
    await platform.plane.provision({ slug: 'to-lost', wish: { model: 'pooled', server: 'main' } })
    const app = await platform.openApp()
    const load = writeAlong(app, 'to-lost')
    const moving = platform.plane.moves.start(ask('to-lost', 'old-1')).catch((error) => error)
    await killWhenHeld(platform.old.url, 'lock table shipment in exclusive mode')
    await restart()
    const outcome = await moving
    expect(['switched', undefined]).toContain(outcome.state)
    const verdict = await load.stop()
    expect(verdict).toMatchObject({ lost: [], duplicated: [], stale: [] })
    expect(verdict.acknowledged).toBeGreaterThan(0)
    if (outcome.state === 'switched') await platform.plane.moves.revert(outcome.id)
    expect((await platform.plane.tenants.find('to-lost'))?.placement.server).toBe('main')
    expect(await platform.plane.findOrphans()).toEqual([])
  })

  it('as the source, while the tenant is fenced: it is served again when the server is back', async () => {
    await platform.plane.provision({ slug: 'from-lost', wish: { model: 'pooled', server: 'old-1' } })
    const app = await platform.openApp()
    await app.withTenant('from-lost', (db) =>
      db.query('insert into shipment (reference, weight) select i::text, i from generate_series(1, 50) i'),
    )
    const moving = platform.plane.moves.start(ask('from-lost', 'main')).catch((error) => error)
    const { id } = (await platform.plane.tenants.find('from-lost')) ?? {}
    // Admitting it in the new home waits for this row, with the old home fenced.
    const row = `insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
                 values ('${id}', 1, decode(repeat('00', 64), 'hex'), decode(repeat('00', 64), 'hex'))`
    await killWhenHeld(platform.central.adminUrl, row)
    await restart()
    const outcome = await moving
    const read = () => app.withTenant('from-lost', (db) => db.one('select count(*)::int as n from shipment'))
    await expect.poll(() => read().catch((error) => error.code), { timeout: 60_000 }).toEqual({ n: 50 })
    if (outcome.state === 'switched') await platform.plane.moves.complete(outcome.id)
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})
