import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { createRowhouse, type Rowhouse } from 'rowhouse'
import { createTenantAdmin } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFreightApp } from '../src/app/app.ts'
import { tenantSources } from '../src/app/tenant-sources.ts'
import { type Door, openDoor } from '../src/demo/listen.ts'
import { Browser } from './support/browser.ts'
import { startTestDemo, type TestDemo } from './support/test-demo.ts'

interface Me {
  readonly actor: string
  readonly branches: readonly string[] | null
}

interface ShipmentPage {
  readonly total: number
  readonly shipments: readonly { branch: string }[]
}

let demo: TestDemo
let rowhouse: Rowhouse
let door: Door
/** Keys of acme: one for all branches, one for Sharjah. */
let keys: { all: string; sharjah: string }

/** The application as a platform would run it: nobody is taken for anybody, and there is no laboratory. */
beforeAll(async () => {
  demo = await startTestDemo()
  const { adminUrl, appUrl, rootKey } = demo.database
  rowhouse = await createRowhouse({ url: appUrl, rootKey, sources: tenantSources() })
  const { id: sharjah } = await rowhouse.withTenant('acme', (db) =>
    db.one<{ id: string }>(`select id from branch where code = 'SHJ'`),
  )
  const admin = createTenantAdmin({ url: adminUrl, rootKey })
  const all = await admin.createApiKey('acme', { name: 'all branches' })
  const one = await admin.createApiKey('acme', { name: 'Sharjah', units: [sharjah] })
  keys = { all: all.key, sharjah: one.key }
  await admin.close()
  const log = pino({ level: 'silent' })
  const app = createFreightApp({ rowhouse, log, sessionKey: randomBytes(32) })
  door = await openDoor(0)
  door.serve(app.fetch)
})
afterAll(async () => {
  await door.close()
  await rowhouse.close()
  await demo.drop()
})

const at = (tenant: string) => new Browser(door.port, tenant)

describe('somebody without a session', () => {
  test('is sent to the sign-in page', async () => {
    const { status, headers } = await at('acme').get('/shipments')
    expect([status, headers.location]).toEqual([303, '/sign-in'])
  })

  test('is refused by the API', async () => {
    const { status, body } = await at('acme').get('/api/shipments')
    expect(status).toBe(401)
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_SIGN_IN_REQUIRED',
      detail: 'Sign in or send an API key',
    })
  })

  test('finds no laboratory, signed in or not', async () => {
    const director = at('acme')
    await director.signInAs('Director')
    expect((await director.get('/lab')).status).toBe(404)
    expect((await director.post('/lab/search', { form: { q: 'x' } })).status).toBe(404)
  })
})

describe('somebody with a forged session', () => {
  test.each([
    ['altered', (cookie: string) => `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`],
    ['cut', (cookie: string) => cookie.slice(0, 60)],
  ])('is refused when it is %s', async (_, forge) => {
    const director = at('acme')
    await director.signInAs('Director')
    expect((await director.get('/api/me')).status).toBe(200)
    director.cookie = forge(director.cookie ?? '')
    expect((await director.get('/api/me')).status).toBe(401)
  })

  test('is refused with the session of another tenant', async () => {
    const director = at('acme')
    await director.signInAs('Director')
    const elsewhere = at('globex')
    elsewhere.cookie = director.cookie
    expect((await elsewhere.get('/api/me')).status).toBe(401)
  })
})

describe('an API key', () => {
  const read = async <T>(browser: Browser, path: string, key: string): Promise<T> => {
    const { status, body } = await browser.get(path, { 'x-api-key': key })
    expect(status, body).toBe(200)
    return JSON.parse(body) as T
  }

  test('sees what it is for, and PostgreSQL knows it as the actor', async () => {
    expect(await read<Me>(at('acme'), '/api/me', keys.all)).toMatchObject({
      actor: expect.stringMatching(/^key:/),
      branches: null,
    })
    expect(await read<Me>(at('acme'), '/api/me', keys.sharjah)).toMatchObject({ branches: ['Sharjah'] })
  })

  test('of a branch is not widened by the cookie of the director beside it', async () => {
    const director = at('acme')
    await director.signInAs('Director')
    const page = await read<ShipmentPage>(director, '/api/shipments', keys.sharjah)
    expect(new Set(page.shipments.map(({ branch }) => branch))).toEqual(new Set(['Sharjah']))
    expect(page.total).toBeLessThan((await director.json<ShipmentPage>('/api/shipments')).total)
  })

  test('opens no other tenant', async () => {
    const { status } = await at('globex').get('/api/me', { 'x-api-key': keys.all })
    expect(status).toBe(401)
  })
})
