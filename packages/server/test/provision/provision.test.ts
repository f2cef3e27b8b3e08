import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantStep } from '../../src/provision/tenant-step.ts'
import { createPlatform, type Platform } from '../support/platform.ts'

let platform: Platform

const firstShipment = tenantStep({
  name: 'first-shipment',
  check: async (db) => (await db.query(`select from shipment where reference = 'WELCOME'`)).rowCount === 1,
  do: async (db) => {
    await db.query(`insert into shipment (reference) values ('WELCOME')`)
  },
  undo: async (db) => {
    await db.query(`delete from shipment where reference = 'WELCOME'`)
  },
})

beforeAll(async () => {
  platform = await createPlatform({ steps: [firstShipment] })
})
afterAll(() => platform.close())

const MODELS = ['pooled', 'schema', 'database'] as const
const SERVERS = ['main', 'old-1'] as const

describe.each(SERVERS)('on server %s', (server) => {
  it.each(MODELS)('a %s tenant is made, opened and reached by the same code', async (model) => {
    const slug = `${model}-${server}`
    const tenant = await platform.plane.provision({ slug, plan: 'pro', wish: { model, server } })
    expect(tenant).toMatchObject({ slug, state: 'active', plan: 'pro', placement: { model, server } })
    const app = await platform.openApp()
    const rows = await app.withTenant(slug, (db) => db.many('select tenant_id, reference from shipment'))
    expect(rows).toEqual([{ tenant_id: tenant.id, reference: 'WELCOME' }])
    expect(await platform.plane.findOrphans()).toEqual([])
  })
})
