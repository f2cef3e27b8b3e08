import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import { describe, expect, it } from 'vitest'
import { tenantFromRequest } from '../../src/adapters/hono.ts'
import { fromSubdomain } from '../../src/resolve/from-host.ts'
import { fromTrustedHeader } from '../../src/resolve/from-trusted-header.ts'
import { createMemoryGate, runningTenant } from './memory-gate.ts'

/** `app.request()` gives Hono a Web Request and nothing of Node, as other runtimes do. */
describe('tenantFromRequest() where there is no Node request', () => {
  const app = new Hono()
  app.use(
    tenantFromRequest(
      createMemoryGate([
        fromSubdomain({ base: 'example.com' }),
        fromTrustedHeader({ header: 'x-tenant', proxies: ['127.0.0.1', '::1'] }),
      ]),
      { requestId: (request) => `id of ${request.target}` },
    ),
  )
  app.get('/whoami', (c) => c.text(`${runningTenant()}`))
  app.get('/stream', (c) =>
    stream(c, async (out) => {
      for (let n = 0; n < 3; n++) await out.write(`${runningTenant()} `)
    }),
  )
  app.get('/lazy', () => {
    const body = new ReadableStream(
      {
        pull(controller) {
          controller.enqueue(new TextEncoder().encode(`${runningTenant()}`))
          controller.close()
        },
      },
      { highWaterMark: 0 },
    )
    return new Response(body)
  })

  const text = async (url: string, headers: Record<string, string> = {}) => (await app.request(url, { headers })).text()

  it('takes the host from the header, else from the URL', async () => {
    expect(await text('http://acme.example.com/whoami')).toBe('acme')
    expect(await text('http://localhost/whoami', { host: 'globex.example.com' })).toBe('globex')
  })

  it('trusts no proxy, because it does not know who the peer is', async () => {
    expect((await app.request('http://acme.example.com/whoami', { headers: { 'x-tenant': 'acme' } })).status).toBe(401)
  })

  it('puts the id of the request into the refusal', async () => {
    expect(JSON.parse(await text('http://hooli.example.com/whoami'))).toEqual({
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      code: 'ERR_TENANT_NOT_FOUND',
      requestId: 'id of /whoami',
    })
  })

  it('keeps the tenant in stream(), and gives a body that is made later no tenant rather than a wrong one', async () => {
    expect(await text('http://acme.example.com/stream')).toBe('acme acme acme ')
    expect(await text('http://acme.example.com/lazy')).toBe('undefined')
  })
})
