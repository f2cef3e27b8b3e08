import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, type Platform } from '../support/platform.ts'
import { inSlice } from '../support/slice.ts'
import { whileHeld } from './held.ts'
import { HISTORY_SCHEMA, writeAlong } from './history.ts'

/** A mover that dies anywhere, while the tenant writes: the next process finishes the move, and nothing acknowledged is lost. */
let platform: Platform
let app: Rowhouse

beforeAll(async () => {
  platform = await createPlatform({}, HISTORY_SCHEMA)
  app = await platform.openApp({ lockTimeoutMs: 60_000, statementTimeoutMs: 60_000 })
  await platform.plane.provision({ slug: 'mover', wish: { model: 'pooled', server: 'main' } })
  await platform.plane.provision({ slug: 'neighbour', wish: { model: 'pooled', server: 'old-1' } })
})
afterAll(() => platform.close())

/** What the test holds so that the mover waits there; on `main`, where the tenant lives, or on `old-1`, where it goes. */
const STOPS: Readonly<Record<string, { at: 'main' | 'old'; hold: string }>> = {
  prepare: { at: 'old', hold: 'lock table rowhouse.ddl_freeze in access exclusive mode' },
  capture: { at: 'main', hold: 'lock table shipment in row exclusive mode' },
  copy: { at: 'old', hold: 'lock table shipment in exclusive mode' },
  'catch up': { at: 'main', hold: 'lock table rowhouse.captured_key in access exclusive mode' },
  'cut, before the fence': { at: 'main', hold: 'select from rowhouse.placement for update' },
  'cut, while fenced': { at: 'old', hold: 'lock table rowhouse.resident in access exclusive mode' },
}

function start(): ChildProcess {
  const file = new URL('./move-and-die.ts', import.meta.url).pathname
  const request = JSON.stringify({
    tenant: 'mover',
    to: { model: 'pooled', server: 'old-1' },
    reason: 'a mover that dies',
    requestedBy: 'test',
  })
  const { adminUrl: CENTRAL_URL, rootKey: ROOT_KEY } = platform.central
  const env = { ...process.env, CENTRAL_URL, ROOT_KEY, MIGRATIONS: platform.migrations }
  return spawn(process.execPath, ['--conditions=source', '--import', 'tsx', file, request], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

const urlOf = (at: 'main' | 'old') => (at === 'main' ? platform.central.adminUrl : platform.old.url)

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

describe('a mover that is killed with -9', () => {
  it.each(inSlice(Object.entries(STOPS).toReversed(), 3))(
    'in "%s": the next process finishes, nothing is lost or doubled',
    async (_name, stop) => {
      const load = writeAlong(app, 'mover')
      const neighbour = await app.withTenant('neighbour', (db) => db.many('select * from shipment'))
      const child = start()
      await whileHeld(urlOf(stop.at), stop.hold, () => kill(child))
      await platform.reopen()
      const [{ id } = { id: '' }] = await platform.plane.moves.list('mover')
      const state = async () => (await platform.plane.moves.find(id)).state
      await expect.poll(state, { timeout: 60_000 }).toBe('switched')
      const verdict = await load.stop()
      expect(verdict).toMatchObject({ lost: [], duplicated: [], stale: [] })
      expect(verdict.acknowledged).toBeGreaterThan(0)
      expect((await platform.plane.tenants.find('mover'))?.placement).toMatchObject({ server: 'old-1' })
      expect(await app.withTenant('neighbour', (db) => db.many('select * from shipment'))).toEqual(neighbour)
      const back = writeAlong(app, 'mover')
      expect(await platform.plane.moves.revert(id)).toMatchObject({ state: 'reverted' })
      expect(await back.stop()).toMatchObject({ lost: [], duplicated: [], stale: [] })
      expect(await platform.plane.findOrphans()).toEqual([])
    },
  )
})
