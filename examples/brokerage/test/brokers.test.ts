import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeBook } from '../src/seed/make-book.ts'
import type { Browser } from './support/browser.ts'
import { orderOf, PLACED, startTestPlatform, type TestPlatform } from './support/test-platform.ts'

interface PolicyPage {
  readonly total: number
  readonly policies: readonly { readonly id: string; readonly number: string; readonly client: string }[]
}

const UNKNOWN = '00000000-0000-7000-8000-00000000abcd'
const AS_OF = '2026-11-21'

let platform: TestPlatform
/** Two brokers of each plan, signed in. */
const brokers = new Map<string, Browser>()
const SLUGS = PLACED.flatMap(([plan, model]) => [
  { slug: `${model}-one`, plan, model },
  { slug: `${model}-two`, plan, model },
])
const broker = (slug: string) => brokers.get(slug) as Browser

beforeAll(async () => {
  platform = await startTestPlatform()
  for (const [index, { slug, plan }] of SLUGS.entries()) {
    const browser = await platform.makeBroker(slug, plan)
    brokers.set(slug, browser)
    const csv = makeBook({ seed: slug, clients: 10 + index, asOf: AS_OF })
    const { status, body } = await browser.post('/api/book', { csv })
    expect(status, body).toBe(201)
  }
})
afterAll(() => platform.stop())

test('brokers live where their plan says, on two servers of two majors where there are two', async () => {
  const placed = await platform.brokerage.plane.tenants.list()
  expect(Object.fromEntries(placed.map(({ slug, placement }) => [slug, placement.model]))).toEqual(
    Object.fromEntries(SLUGS.map(({ slug, model }) => [slug, model])),
  )
  expect(new Set(placed.map(({ placement }) => placement.server))).toEqual(new Set(['main', 'second']))
  expect(await platform.brokerage.plane.findOrphans()).toEqual([])
})

describe.each(SLUGS)('$slug', ({ slug }) => {
  test('sees its own book and nobody else’s', async () => {
    const policies = await allPolicies(broker(slug))
    expect(policies.length).toBeGreaterThan(5)
    const others = await Promise.all(
      SLUGS.filter((each) => each.slug !== slug).map((each) => allPolicies(broker(each.slug))),
    )
    const foreign = new Set(others.flat().map(({ id }) => id))
    expect(policies.filter(({ id }) => foreign.has(id))).toEqual([])
  })

  test('finds another broker’s policy like one that does not exist, byte for byte', async () => {
    for (const other of SLUGS.filter((each) => each.slug !== slug)) {
      const [policy] = await allPolicies(broker(other.slug))
      const foreign = await broker(slug).get(`/api/policies/${policy?.id}`)
      const unknown = await broker(slug).get(`/api/policies/${UNKNOWN}`)
      expect(foreign.status).toBe(404)
      expect(foreign.body).toBe(unknown.body)
    }
  })

  test('answers every page', async () => {
    const [policy] = await allPolicies(broker(slug))
    const paths = [
      '/',
      '/quotes',
      '/policies?q=a&status=in_force',
      `/policies/${policy?.id}`,
      '/commissions',
      '/import',
    ]
    for (const path of [...paths, '/settings', '/style.css']) {
      const { status, body } = await broker(slug).get(path)
      expect(status, `${path}: ${body}`).toBe(200)
    }
    expect((await broker(slug).get('/')).body).toContain(`Brokers of ${slug}`)
  })

  test('quotes and binds under numbers of its own that begin with one', async () => {
    const client = await firstClient(slug)
    const order = { client, carrier: 'MRD', line: 'CARGO', premium: '1000.05', validUntil: '2027-01-01' }
    const quote = await broker(slug).post('/api/quotes', { json: order })
    expect(quote.status, quote.body).toBe(201)
    const { id, number } = JSON.parse(quote.body) as { id: string; number: string }
    expect(number).toMatch(/^BO[A-Z]-Q-20\d\d-00001$/)
    const policy = await broker(slug).post(`/api/quotes/${id}/bind`, { json: {} })
    expect(policy.status, policy.body).toBe(201)
    const file = await broker(slug).json<Record<string, Record<string, string>[]>>(String(policy.headers.location))
    // Cargo pays 15 per cent, and the seventh insurer three and a half more.
    expect(file.commissions).toMatchObject([{ kind: 'new', percent: '18.50', amount: '185.01', receivedOn: null }])
    expect(file.documents?.map(({ kind }) => kind)).toEqual(['certificate', 'schedule'])
    expect((await broker(slug).post(`/api/quotes/${id}/bind`, { json: {} })).status).toBe(404)
  })

  test('gets no quote for a client, insurer or line that is not there', async () => {
    const order = { client: 'nobody', carrier: 'XXX', line: 'NONE', premium: '1', validUntil: '2027-01-01' }
    const { status, body } = await broker(slug).post('/api/quotes', { json: order })
    expect(status).toBe(400)
    expect(JSON.parse(body)).toMatchObject({
      code: 'ERR_INPUT_INVALID',
      detail:
        'Cannot use this input: "client" must be one that exists; "carrier" must be one that exists; "line" must be one that exists',
    })
  })

  test('is reached at its clients’ host as well', async () => {
    const { status, body } = await platform.at(`${slug}.cover.example`).get('/sign-in')
    expect(status).toBe(200)
    expect(body).toContain(`Brokers of ${slug}`)
  })
})

describe('an API key', () => {
  test.each(SLUGS)(
    'of $slug names the broker without a host, and PostgreSQL knows it as the actor',
    async ({ slug }) => {
      const headers = { 'x-api-key': await keyOf(slug) }
      const me = await platform.at('api').json('/api/me', headers)
      expect(me).toEqual({ broker: slug, name: `Brokers of ${slug}`, actor: expect.stringMatching(/^key:/) })
      const page = await platform.at('api').json<PolicyPage>('/api/policies', headers)
      expect(page.total).toBe((await broker(slug).json<PolicyPage>('/api/policies')).total)
    },
  )

  test('of another broker, an unknown one and a mistyped one are refused with the same bytes', async () => {
    const key = await keyOf('pooled-one')
    const revoked = await platform.brokerage.plane.tenants.createApiKey('schema-two', { name: 'revoked' })
    await platform.brokerage.plane.tenants.revokeApiKey(revoked.id)
    const ask = (given: string) => platform.at('schema-two').get('/api/me', { 'x-api-key': given })
    const answers = await Promise.all([ask(key), ask(revoked.key), ask(`${key.slice(0, -1)}x`)])
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
  })
})

test('hosts nobody answers to are refused with the same bytes: an unknown broker, an unknown domain', async () => {
  const hosts = ['nobody', 'portal.nobody.example', 'nobody.cover.example']
  const answers = await Promise.all(hosts.map((host) => platform.at(host).get('/api/me')))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]))
  expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
})

test('a session is worth nothing at another broker’s', async () => {
  const thief = platform.at('pooled-two')
  thief.cookie = broker('pooled-one').cookie
  expect((await thief.get('/api/me')).status).toBe(401)
})

describe('a domain of its own', () => {
  const host = 'portal.schema-one.example'

  test('is connected once DNS holds the proof, and not before', async () => {
    const administrator = broker('schema-one')
    const connect = () => administrator.post('/settings/domain', { form: { domain: host } })
    const early = await connect()
    expect(early.status).toBe(400)
    expect(early.body).toContain('is not proved')
    const page = (await administrator.get(`/settings?domain=${host}`)).body
    const [, name = '', value = ''] = /(_brokerage-proof\S+) TXT &quot;([0-9a-f]{40})&quot;/.exec(page) ?? []
    platform.txt.set(name, value)
    expect((await connect()).status).toBe(200)
    const { body } = await platform.at(host).get('/sign-in')
    expect(body).toContain('Brokers of schema-one')
  })

  test('is not another broker’s for the same proof', async () => {
    const { status, body } = await broker('pooled-one').post('/settings/domain', { form: { domain: host } })
    expect(status).toBe(400)
    expect(body).toContain('is not proved')
  })

  test.each(['localhost', 'evil.localhost', 'x.cover.example', '127.0.0.1', 'a b.example', ''])(
    'is not "%s"',
    async (domain) => {
      const { status, body } = await broker('schema-one').post('/settings/domain', { form: { domain } })
      expect(status).toBe(400)
      expect(body).toContain('must be a domain of your own')
    },
  )
})

test('a sign-up at a broker’s host is no sign-up', async () => {
  const { status } = await platform.at('pooled-one').post('/sign-up', { json: orderOf('stray') })
  expect([status, await platform.brokerage.plane.tenants.find('stray')]).toEqual([303, undefined])
})

async function allPolicies(browser: Browser): Promise<PolicyPage['policies']> {
  const { policies, total } = await browser.json<PolicyPage>('/api/policies')
  const pages = Math.ceil(total / 25)
  const rest = await Promise.all(
    Array.from({ length: pages - 1 }, (_, page) => browser.json<PolicyPage>(`/api/policies?page=${page + 2}`)),
  )
  return [...policies, ...rest.flatMap((page) => page.policies)]
}

async function firstClient(slug: string): Promise<string> {
  return platform.brokerage.rowhouse.withTenant(slug, async (db) => {
    return (await db.one<{ reference: string }>('select reference from client order by reference limit 1')).reference
  })
}

async function keyOf(slug: string): Promise<string> {
  return (await platform.brokerage.plane.tenants.createApiKey(slug, { name: 'test' })).key
}
