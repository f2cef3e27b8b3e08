import fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenantFromRequest } from '../../src/adapters/fastify.ts'
import { fromSubdomain } from '../../src/resolve/from-host.ts'
import { createMemoryGate, runningTenant } from './memory-gate.ts'
import { portOf, sendRaw } from './raw-http.ts'

const HOOKS = [
  'onRequest',
  'preParsing',
  'preValidation',
  'preHandler',
  'preSerialization',
  'onSend',
  'onResponse',
] as const

describe('tenantFromRequest() as a hook of Fastify', () => {
  const seen = new Map<string, string | undefined>()
  const app = fastify()
  const ended: (() => void)[] = []

  beforeAll(async () => {
    app.addHook('onRequest', tenantFromRequest(createMemoryGate([fromSubdomain({ base: 'example.com' })])))
    for (const name of HOOKS) {
      // One signature does for all: what differs between the hooks is not used here.
      app.addHook(name as 'onRequest', async () => {
        seen.set(name, runningTenant())
        if (name === 'onResponse') for (const end of ended.splice(0)) end()
      })
    }
    app.addHook('onError', async () => void seen.set('onError', runningTenant()))
    app.post('/echo', async ({ body }) => body)
    app.post('/throws', async () => {
      throw new Error('thrown by the handler')
    })
    await app.register((scope, _options, done) => {
      scope.addHook('preHandler', async () => void seen.set('scope', runningTenant()))
      scope.post('/scoped', async () => ({}))
      done()
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
  })
  afterAll(() => app.close())

  const post = async (path: string, slug: string) => {
    seen.clear()
    const responded = new Promise<void>((resolve) => ended.push(resolve))
    const head = `POST ${path} HTTP/1.1\r\nHost: ${slug}.example.com\r\nContent-Type: application/json\r\n`
    const answer = await sendRaw(portOf(app.server), `${head}Content-Length: 2\r\nConnection: close\r\n\r\n{}`)
    await responded
    return answer
  }

  it('keeps the tenant in every hook, from the first to the one after the response', async () => {
    expect((await post('/echo', 'acme')).status).toBe(200)
    expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(HOOKS.map((name) => [name, 'acme'])))
  })

  it('keeps the tenant in onError', async () => {
    expect((await post('/throws', 'globex')).status).toBe(500)
    expect(seen.get('onError')).toBe('globex')
    expect(seen.get('onResponse')).toBe('globex')
  })

  it('holds for plugins with a scope of their own', async () => {
    await post('/scoped', 'acme')
    expect(seen.get('scope')).toBe('acme')
  })

  it('runs no later hook before the response of a refused request, and none as a tenant', async () => {
    expect((await post('/echo', 'hooli')).status).toBe(404)
    expect(Object.fromEntries(seen)).toEqual({ onSend: undefined, onResponse: undefined })
  })
})
