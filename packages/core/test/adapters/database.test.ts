import { createServer, type Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import { Hono } from 'hono'
import { fromApiKey, fromCustomDomain, fromSubdomain, type Rowhouse } from 'rowhouse'
import { tenantFromRequest as forExpress } from 'rowhouse/express'
import { tenantFromRequest as forHono } from 'rowhouse/hono'
import { createTenantAdmin, type TenantAdmin } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours, UNIT_1 } from '../support/tenants.ts'
import { listen } from './frameworks.ts'
import { portOf, type RawAnswer, sendRaw } from './raw-http.ts'

const ITEMS = 'select label from item order by id'
const NOTES = 'select body from note order by id'

let n: Neighbours
let tenants: TenantAdmin
let rowhouse: Rowhouse
beforeAll(async () => {
  n = await createNeighbours()
  tenants = createTenantAdmin({ url: n.database.adminUrl, rootKey: n.database.rootKey })
  const base = 'example.com'
  rowhouse = await n.open({
    sources: [fromSubdomain({ base }), fromCustomDomain({ exceptUnder: base }), fromApiKey()],
    directoryTtlMs: 50,
  })
})
afterAll(async () => {
  await tenants.close()
  await n.close()
})

const startHono = () => {
  const app = new Hono()
  app.use(forHono(rowhouse))
  app.get('/items', async (c) => c.json(await rowhouse.db.many(ITEMS)))
  app.get('/notes', async (c) => c.json(await rowhouse.db.many(NOTES)))
  return createAdaptorServer({ fetch: app.fetch }) as Server
}
const startExpress = () => {
  const app = express()
  app.use(forExpress(rowhouse))
  app.get('/items', async (_request, response) => void response.json((await rowhouse.pool.query(ITEMS)).rows))
  app.get('/notes', async (_request, response) => void response.json((await rowhouse.pool.query(NOTES)).rows))
  return createServer(app)
}

describe.each([
  ['hono, through db', startHono],
  ['express, through pool', startExpress],
])('%s', (_name, start) => {
  let server: Server
  let close: () => Promise<void>
  beforeAll(async () => {
    ;({ server, close } = await listen(start()))
  })
  afterAll(() => close())

  const ask = (path: string, host: string, key?: string): Promise<RawAnswer> => {
    const lines = [`Host: ${host}`, ...(key === undefined ? [] : [`X-Api-Key: ${key}`]), 'Connection: close', '', '']
    return sendRaw(portOf(server), [`GET ${path} HTTP/1.1`, ...lines].join('\r\n'))
  }
  const labels = ({ body }: RawAnswer) => [...body.matchAll(/"(?:label|body)":"(\w+)"/g)].map(([, label]) => label)

  it('reads the rows of the tenant whose host it is', async () => {
    expect(labels(await ask('/items', 'acme.example.com'))).toEqual(['acme1', 'acme2', 'acme3'])
    expect(labels(await ask('/items', 'Globex.example.com.'))).toEqual(['globex1', 'globex2', 'globex3'])
  })

  it('reads the rows of the tenant whose key it is, in the units of the key', async () => {
    const { key } = await tenants.createApiKey('globex', { name: 'till', units: [UNIT_1] })
    expect(labels(await ask('/notes', 'example.com', key))).toEqual(['globex1'])
    expect(labels(await ask('/notes', 'globex.example.com'))).toEqual(['globex1', 'globex2', 'globex3'])
  })

  it('answers unknown, foreign, expired and revoked keys byte for byte alike', async () => {
    const own = await tenants.createApiKey('acme', { name: 'own' })
    const foreign = await tenants.createApiKey('globex', { name: 'foreign' })
    const other = await tenants.createApiKey('acme', { name: 'other' })
    expect((await ask('/items', 'acme.example.com', own.key)).status).toBe(200)
    await tenants.revokeApiKey(other.id)
    const expired = await tenants.createApiKey('acme', { name: 'expired' })
    await n.admin.query(`update rowhouse.api_key set expires_at = now() - interval '1 s' where id = $1`, [expired.id])
    const removed = await tenants.createApiKey('acme', { name: 'removed' })
    await n.admin.query('delete from rowhouse.api_key where id = $1', [removed.id])

    const unknown = await ask('/items', 'acme.example.com', removed.key)
    expect(unknown.status).toBe(401)
    for (const key of [foreign.key, other.key, expired.key, `${own.key}x`]) {
      expect(await ask('/items', 'acme.example.com', key)).toEqual(unknown)
    }
    expect(await ask('/items', 'hooli.example.com', own.key)).toEqual(unknown)
  })

  it('serves a domain from the moment it is the tenant’s, and not from a guess before', async () => {
    const host = `portal-${portOf(server)}.acme.test`
    const before = await ask('/items', host)
    expect(before.status).toBe(404)
    expect(await ask('/items', 'hooli.example.com')).toEqual(before)
    await tenants.addDomain('acme', host)
    rowhouse.directory.invalidate()
    expect(labels(await ask('/items', host.toUpperCase()))).toEqual(['acme1', 'acme2', 'acme3'])
  })

  it('refuses a suspended tenant and serves it again when it resumes', async () => {
    await tenants.suspend('acme')
    rowhouse.directory.invalidate()
    expect((await ask('/items', 'acme.example.com')).status).toBe(403)
    expect((await ask('/items', 'globex.example.com')).status).toBe(200)
    await tenants.resume('acme')
    rowhouse.directory.invalidate()
    expect((await ask('/items', 'acme.example.com')).status).toBe(200)
  })

  it('keeps both tenants apart in 400 interleaved requests', async () => {
    const slugs = Array.from({ length: 400 }, (_, i) => (i % 2 === 0 ? 'acme' : 'globex'))
    const answers: [string, RawAnswer][] = []
    for (let at = 0; at < slugs.length; at += 40) {
      const group = slugs.slice(at, at + 40)
      answers.push(
        ...(await Promise.all(
          group.map(async (slug) => [slug, await ask('/items', `${slug}.example.com`)] as [string, RawAnswer]),
        )),
      )
    }
    const wrong = answers.filter(([slug, answer]) => labels(answer).join() !== `${slug}1,${slug}2,${slug}3`)
    expect(wrong).toEqual([])
  })
})
