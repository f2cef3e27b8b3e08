import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { askAll, REQUESTS, wrong } from './interleaved-requests.ts'
import { keys } from './memory-gate.ts'
import { type NextApp, startNextApp } from './next-app.ts'
import { sendRaw } from './raw-http.ts'

let app: NextApp
beforeAll(async () => {
  app = await startNextApp()
}, 120_000)
afterAll(() => app?.close())

const ask = (path: string, ...lines: string[]) =>
  sendRaw(app.port, [`GET ${path} HTTP/1.1`, ...lines, 'Connection: close', '', ''].join('\r\n'))

describe('withTenantRoute()', () => {
  it('runs a route handler as the tenant of the host', async () => {
    const { status, body } = await ask('/whoami', 'Host: acme.example.com')
    expect(status).toBe(200)
    expect(body).toContain('{"before":"acme","after":"acme"}')
  })

  it.each(['GET', 'POST'] as const)(`keeps tenants apart in ${REQUESTS} interleaved %s requests`, async (method) => {
    const answers = await askAll(app.port, method, '/whoami')
    expect(wrong(answers)).toEqual([])
    expect(answers.length).toBe(REQUESTS)
  })

  it('leaves no tenant behind after an error', async () => {
    expect((await ask('/throws', 'Host: globex.example.com')).status).toBe(500)
    expect((await ask('/plain', 'Host: acme.example.com')).body).toContain('"tenant":null')
  })

  it('refuses hosts that nobody has in one way', async () => {
    const [first, ...others] = [
      await ask('/whoami', 'Host: hooli.example.com'),
      await ask('/whoami', 'Host: example.com'),
      await ask('/whoami', 'Host: other.test'),
      await ask('/whoami', 'Host: localhost'),
    ]
    expect(first?.status).toBe(404)
    expect(first?.body).toContain('"code":"ERR_TENANT_NOT_FOUND"')
    for (const other of others) expect(other).toEqual(first)
  })

  it('refuses credentials that are no good here in one way', async () => {
    const onAcme = (key: string) => ask('/whoami', 'Host: acme.example.com', `X-Api-Key: ${key}`)
    const [first, ...others] = [
      await onAcme(keys.nobody.key),
      await onAcme('rh_live_mistyped'),
      // Next.js does not tell a handler who its peer is, so that no header can be trusted, not even from loopback.
      await ask('/whoami', 'Host: acme.example.com', 'X-Tenant: acme'),
    ]
    expect(first?.status).toBe(401)
    for (const other of others) expect(other).toEqual(first)
  })

  it.each([
    ['an underscore', 'Host: ac_me.example.com'],
    ['two hosts in one', 'Host: acme.example.com, globex.example.com'],
    ['userinfo', 'Host: acme.example.com@globex.example.com'],
    ['a name two labels below the base', 'Host: x.acme.example.com'],
  ])('refuses a Host with %s', async (_what, line) => {
    expect((await ask('/whoami', line)).status).toBe(400)
  })

  it('ignores what other headers say about the host', async () => {
    const others = [
      'X-Forwarded-Host: globex.example.com',
      'Forwarded: host=globex.example.com',
      'X-Rowhouse-Tenant: globex',
    ]
    expect((await ask('/whoami', 'Host: acme.example.com', ...others)).body).toContain('"after":"acme"')
  })

  it('sees the first of two Hosts only: Next.js hides the second, which the server in front has to refuse', async () => {
    const { body } = await ask('/whoami', 'Host: acme.example.com', 'Host: globex.example.com')
    expect(body).toContain('"after":"acme"')
  })
})

describe('tenantProxy()', () => {
  it('refuses before Next.js looks for a page', async () => {
    const unknown = await ask('/guarded/nowhere', 'Host: hooli.example.com')
    expect(unknown).toMatchObject({ status: 404, body: expect.stringContaining('ERR_TENANT_NOT_FOUND') })
    const known = await ask('/guarded/nowhere', 'Host: acme.example.com')
    expect(known).toMatchObject({ status: 404, body: expect.not.stringContaining('ERR_TENANT_NOT_FOUND') })
  })

  it.each([
    ['a request that Next.js made itself', `X-Middleware-Subrequest: ${Array(5).fill('proxy').join(':')}`],
    ['a prefetch', 'Purpose: prefetch'],
    ['data of a page', 'X-Nextjs-Data: 1'],
  ])('refuses unknown hosts also where the client claims to be %s', async (_what, line) => {
    const { status, body } = await ask('/guarded/nowhere', 'Host: hooli.example.com', line)
    expect({ status, body }).toMatchObject({ status: 404, body: expect.stringContaining('ERR_TENANT_NOT_FOUND') })
  })

  it('lets no client replace the Host that handlers see, in the way a proxy would', async () => {
    const lines = ['X-Middleware-Override-Headers: host', 'X-Middleware-Request-Host: globex.example.com']
    expect((await ask('/whoami', 'Host: acme.example.com', ...lines)).body).toContain('"after":"acme"')
  })

  it('takes headers off that look like its own, and passes on the others', async () => {
    const lines = ['Host: acme.example.com', 'X-Rowhouse-Tenant: globex', 'x-rowhouse-id: 7', 'X-Other: kept']
    const { status, body } = await ask('/plain', ...lines)
    expect(status).toBe(200)
    expect(body).toContain('{"tenant":null,"own":[],"other":"kept"}')
  })
})
