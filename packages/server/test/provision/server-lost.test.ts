import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from 'rowhouse-embedded'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, type Platform, SETTINGS } from '../support/platform.ts'

let platform: Platform
let dataDir: string
let restarted: Awaited<ReturnType<typeof startPostgres>> | undefined

/** Runs inside of the step that stands in the middle of provisioning. */
let inTheMiddle = async () => {}

const middle = { name: 'middle', check: async () => false, do: () => inTheMiddle(), undo: async () => {} }

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rowhouse-old-'))
  platform = await createPlatform({ steps: [middle] }, undefined, { dataDir })
})
afterAll(async () => {
  await platform.close()
  await restarted?.stop()
  await rm(dataDir, { recursive: true, force: true })
})

/** As a machine that loses power does: nothing is said to anybody. */
function killServer(): void {
  const [pid] = readFileSync(join(dataDir, 'pgdata', 'postmaster.pid'), 'utf8').split('\n')
  process.kill(Number(pid), 'SIGKILL')
}

const gone = async () =>
  platform
    .onOld((client) => client.query('select 1'))
    .then(
      () => false,
      () => true,
    )

describe('a server that is killed while a tenant is made on it', () => {
  it.each(['schema', 'database'] as const)(
    'leaves a %s tenant marked as failed; asked again, it is finished',
    async (model) => {
      const request = { slug: `lost-${model}`, wish: { model, server: 'old-1' } } as const
      inTheMiddle = async () => {
        killServer()
        await expect.poll(gone).toBe(true)
        throw new Error('the step after the loss')
      }
      await expect(platform.plane.provision(request)).rejects.toMatchObject({
        message: expect.stringContaining('these could not be undone: namespace; provision it again to go on'),
      })
      expect((await platform.plane.tenants.find(request.slug))?.state).toBe('failed')
      inTheMiddle = async () => {}
      restarted = await startPostgres({ dataDir, major: 15, settings: SETTINGS, port: platform.old.port })
      expect(await platform.plane.provision(request)).toMatchObject({ slug: request.slug, state: 'active' })
      const app = await platform.openApp()
      expect(await app.withTenant(request.slug, (db) => db.many('select * from shipment'))).toEqual([])
      expect(await platform.plane.findOrphans()).toEqual([])
    },
  )
})

describe('a server that cannot take a tenant', () => {
  it('because it is read-only refuses with the reason, and keeps nothing', async () => {
    await platform.onOld(async (client) => {
      await client.query('alter system set default_transaction_read_only = on')
      await client.query('select pg_reload_conf()')
    })
    const readOnly = () =>
      platform.onOld(
        async (client) =>
          (await client.query('show default_transaction_read_only')).rows[0].default_transaction_read_only,
      )
    await expect.poll(readOnly).toBe('on')
    const attempt = platform.plane.provision({ slug: 'read-only', wish: { model: 'schema', server: 'old-1' } })
    await expect(attempt).rejects.toMatchObject({ message: expect.stringContaining('read-only transaction') })
    await platform.onOld(async (client) => {
      await client.query('set default_transaction_read_only = off')
      await client.query('alter system reset default_transaction_read_only')
      await client.query('select pg_reload_conf()')
    })
    await expect.poll(readOnly).toBe('off')
    expect(
      await platform.plane.provision({ slug: 'read-only', wish: { model: 'schema', server: 'old-1' } }),
    ).toMatchObject({ state: 'active' })
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})
