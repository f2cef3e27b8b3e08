import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createTenantAdmin } from 'rowhouse/install'
import { startFreightDemo } from 'rowhouse-example-freight'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Browser } from './support/browser.ts'
import { SHIPMENTS, startTestDemo, TENANTS, type TestDemo } from './support/test-demo.ts'

interface ShipmentPage {
  readonly total: number
  readonly shipments: readonly { id: string; number: string; branch: string; status: string }[]
}

const UNKNOWN = '00000000-0000-7000-8000-00000000abcd'
const ORDER = {
  branch: 'DXB',
  customer: 'C0001',
  mode: 'air',
  origin: 'AEDXB',
  destination: 'SGSIN',
  goods: 'Tea',
  packages: 2,
  weightKg: 100,
}

let demo: TestDemo
const at = (tenant: string) => new Browser(demo.port, tenant)

beforeAll(async () => {
  demo = await startTestDemo()
})
afterAll(() => demo.drop())

describe('pages of a tenant', () => {
  test.each([
    ['acme', 'Acme Forwarding', '#0f6b5c', 'AED'],
    ['globex', 'Globex Logistics', '#5b3fa8', '€'],
  ])('%s shows its own name, colour and currency and nobody else’s', async (slug, name, color, currency) => {
    const { status, body } = await at(slug).get('/')
    expect(status).toBe(200)
    for (const own of [name, `--brand:${color}`, currency]) expect(body).toContain(own)
    for (const other of ['Acme Forwarding', 'Globex Logistics'].filter((each) => each !== name)) {
      expect(body).not.toContain(other)
    }
  })

  test('every page of every tenant is answered', async () => {
    for (const tenant of TENANTS) {
      const { shipments } = await at(tenant).json<ShipmentPage>('/api/shipments')
      const paths = [
        '/',
        '/shipments',
        '/shipments?status=delivered&q=a',
        '/invoices',
        '/lab',
        `/shipments/${shipments[0]?.id}`,
      ]
      for (const path of paths) expect((await at(tenant).get(path)).status, `${tenant} ${path}`).toBe(200)
    }
  })

  test('a page that cannot be is answered 400 with the reason', async () => {
    const { status, body } = await at('acme').get('/shipments?page=0')
    expect(status).toBe(400)
    expect(body).toContain('must be a whole number from 1 to 400')
  })

  test('nothing may frame a page but the landing page, and no script may run', async () => {
    const { headers } = await at('acme').get('/')
    expect(headers['content-security-policy']).toContain(`default-src 'none'`)
    expect(headers['content-security-policy']).toContain(`frame-ancestors http://localhost:${demo.port}`)
  })
})

describe('API of a tenant', () => {
  test('each tenant has its own shipments, in its own format of numbers, and together they are all', async () => {
    const formats = { acme: /^(?:DXB|AUH|SHJ)-\d{4}-\d{5,}$/, globex: /^GLX\/\d{6}\/\d{2}$/ }
    let total = 0
    for (const tenant of TENANTS) {
      const page = await at(tenant).json<ShipmentPage>('/api/shipments')
      total += page.total
      const format = formats[tenant as keyof typeof formats]
      if (format !== undefined) for (const { number } of page.shipments) expect(number).toMatch(format)
    }
    expect(total).toBe(SHIPMENTS)
  })

  test('another tenant’s shipment is answered like one that does not exist, byte for byte', async () => {
    const { shipments } = await at('globex').json<ShipmentPage>('/api/shipments')
    for (const path of ['/api/shipments/', '/shipments/']) {
      const foreign = await at('acme').get(`${path}${shipments[0]?.id}`)
      const unknown = await at('acme').get(`${path}${UNKNOWN}`)
      expect(foreign.status).toBe(404)
      const withoutClock = ({ body }: { body: string }) => body.replace(/made in \d+ ms/, '')
      expect(withoutClock(foreign)).toBe(withoutClock(unknown))
      expect({ ...foreign.headers, date: '', 'content-length': '' }).toEqual({
        ...unknown.headers,
        date: '',
        'content-length': '',
      })
    }
    expect((await at('globex').get(`/api/shipments/${shipments[0]?.id}`)).status).toBe(200)
  })

  test('a booked shipment gets the tenant’s next number, its rate, a waybill and a first event', async () => {
    const before = await at('acme').json<ShipmentPage>('/api/shipments')
    const { status, headers, body } = await at('acme').post('/api/shipments', { json: ORDER })
    expect(status, body).toBe(201)
    const file = await at('acme').json<{ shipment: Record<string, string>; events: { kind: string; actor: string }[] }>(
      String(headers.location),
    )
    const lastNumber = Math.max(...before.shipments.map(({ number }) => Number(number.slice(9))))
    expect(Number(file.shipment.number?.slice(9))).toBe(lastNumber + 1)
    expect(file.shipment.awb).toMatch(/^990-\d{8}$/)
    expect(Number(file.shipment.freight)).toBeGreaterThan(0)
    expect(file.events).toHaveLength(1)
    expect(file.events[0]).toMatchObject({ kind: 'booked', actor: expect.stringMatching(/^user:/) })
  })

  test.each([
    ['a tenant', { ...ORDER, tenantId: UNKNOWN }, '"tenantId" is not a field of a shipment'],
    ['a wrong number', { ...ORDER, packages: 0 }, '"packages" must be a whole number from 1 to 10000'],
    ['an unknown customer', { ...ORDER, customer: 'C9999' }, '"customer" is not a customer of this company'],
    ['another tenant’s branch', { ...ORDER, branch: 'RTM' }, '"branch" is not a branch of this company'],
    ['the same port twice', { ...ORDER, destination: 'AEDXB' }, '"destination" must be another port than the origin'],
    ['no object', [], '"body" must be a JSON object'],
  ])('an order with %s is refused with 400', async (_, json, message) => {
    const { status, body } = await at('acme').post('/api/shipments', { json })
    expect(status).toBe(400)
    expect(JSON.parse(body)).toMatchObject({ code: 'ERR_INPUT_INVALID', detail: `Cannot use this input: ${message}` })
  })

  test('a form posted from another site is refused', async () => {
    const headers = { origin: 'http://evil.example' }
    expect((await at('acme').post('/sign-in', { form: { person: UNKNOWN }, headers })).status).toBe(403)
  })
})

describe('branches', () => {
  test('the Sharjah manager sees Sharjah, the director sees all, and PostgreSQL says so', async () => {
    const [director, manager] = [at('acme'), at('acme')]
    await director.signInAs('Director')
    await manager.signInAs('Sharjah manager')
    expect(await director.json('/api/me')).toMatchObject({ branches: null, person: { role: 'director' } })
    expect(await manager.json('/api/me')).toMatchObject({ branches: ['Sharjah'], person: { role: 'manager' } })

    const all = await director.json<ShipmentPage>('/api/shipments')
    const some = await manager.json<ShipmentPage>('/api/shipments')
    expect(new Set(all.shipments.map(({ branch }) => branch)).size).toBeGreaterThan(1)
    expect(new Set(some.shipments.map(({ branch }) => branch))).toEqual(new Set(['Sharjah']))
    expect(some.total).toBeLessThan(all.total)

    const foreign = all.shipments.find(({ branch }) => branch !== 'Sharjah')
    expect((await manager.get(`/api/shipments/${foreign?.id}`)).body).toBe(
      (await manager.get(`/api/shipments/${UNKNOWN}`)).body,
    )
    expect((await manager.get('/')).body).toContain('Sharjah only')
  })

  test('raw SQL in the laboratory obeys the branch too', async () => {
    const [director, manager] = [at('acme'), at('acme')]
    await director.signInAs('Director')
    await manager.signInAs('Sharjah manager')
    const count = async (browser: Browser) => {
      const { body } = await browser.post('/lab/forgetful', { form: {} })
      return Number(/<th>shipments<\/th>.*?<td>\d*[^<]*<\/td><td>(\d+)<\/td>/s.exec(body)?.[1])
    }
    const { total } = await manager.json<ShipmentPage>('/api/shipments')
    expect(await count(manager)).toBe(total)
    expect(await count(director)).toBeGreaterThan(total)
  })

  test('the Sharjah manager cannot book for Dubai', async () => {
    const manager = at('acme')
    await manager.signInAs('Sharjah manager')
    const { status, body } = await manager.post('/api/shipments', { json: ORDER })
    expect(status).toBe(403)
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_ACCESS_DENIED',
      detail: 'This belongs to a branch you do not work for',
    })
  })

  test('a cookie is worth nothing at another tenant', async () => {
    const manager = at('acme')
    await manager.signInAs('Sharjah manager')
    const elsewhere = at('globex')
    elsewhere.cookie = manager.cookie
    expect(await elsewhere.json('/api/me')).toMatchObject({ tenant: 'globex', person: { role: 'director' } })
  })
})

describe('the operator', () => {
  test('gets a report over all tenants for a reason, and it is in the log', async () => {
    const { status, body } = await at('localhost').post('/report', { form: { reason: 'monthly report' } })
    expect(status).toBe(200)
    expect(body).toContain('shipments of 3 companies')
    for (const name of ['Acme Forwarding', 'Globex Logistics']) expect(body).toContain(name)
    const admin = createTenantAdmin({ url: demo.database.adminUrl, rootKey: demo.database.rootKey })
    const [newest] = await admin.crossings({ limit: 1 })
    await admin.close()
    expect(newest).toMatchObject({ actor: 'demo operator', reason: 'monthly report', tenants: 3, outcome: 'done' })
  })

  test('gets no report without a reason', async () => {
    const { status, body } = await at('localhost').post('/report', { form: { reason: ' ' } })
    expect(status).toBe(400)
    expect(body).toContain('Cannot work across tenants: no reason was given')
  })

  test('cannot reach the report from a tenant’s host', async () => {
    expect((await at('acme').post('/report', { form: { reason: 'monthly report' } })).status).toBe(404)
  })
})

describe('starting', () => {
  test('says that the port is taken, before doing anything else', async () => {
    const events: unknown[] = []
    const start = startFreightDemo({
      port: demo.port,
      dataDir: demo.dataDir,
      onProgress: (event) => events.push(event),
    })
    await expect(start).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message: `Cannot listen on port ${demo.port}: another program uses it; stop that one or choose another port`,
    })
    expect(events).toEqual([])
  })

  test('keeps its secrets where nobody else reads them', async () => {
    const { mode } = await stat(join(demo.dataDir, 'secrets.json'))
    expect(mode & 0o777).toBe(0o600)
  })

  test('again writes nothing and finds everything', async () => {
    const { total } = await at('acme').json<ShipmentPage>('/api/shipments')
    demo = await demo.restart()
    expect((await at('acme').json<ShipmentPage>('/api/shipments')).total).toBe(total)
    const seeded = demo.events.filter(({ step }) => step === 'seed').at(-1)
    expect(seeded).toMatchObject({ done: SHIPMENTS, total: SHIPMENTS, ratePerSecond: 0 })
    expect(demo.events.some(({ step }) => step === 'analyze')).toBe(false)
  })
})
