import { Agent, get, type Server } from 'node:http'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ResolveError, UnavailableError } from '../../src/errors.ts'
import { fromSubdomain } from '../../src/resolve/from-host.ts'
import type { TenantGate } from '../../src/resolve/gate.ts'
import { frameworks, type RunningApp } from './frameworks.ts'
import { createMemoryGate, runningTenant } from './memory-gate.ts'
import { portOf, sendRaw } from './raw-http.ts'
import { createRoutes, type WatchedRoutes } from './routes.ts'

const path = (at: string, slug = 'acme') =>
  `GET ${at} HTTP/1.1\r\nHost: ${slug}.example.com\r\nConnection: close\r\n\r\n`

describe.each(frameworks)('%s', (_name, start) => {
  let app: RunningApp
  let routes: WatchedRoutes
  /** Tenant that runs when a request arrives, before any middleware: undefined, or one has leaked. */
  let leaked: (string | undefined)[]
  const gate = createMemoryGate([fromSubdomain({ base: 'example.com' })])

  const open = async (by: TenantGate) => {
    routes = createRoutes()
    leaked = []
    app = await start(by, routes)
    app.server.prependListener('request', () => leaked.push(runningTenant()))
  }
  beforeEach(() => open(gate))
  afterEach(() => app.close())

  it('leaves no tenant behind on a connection that is used again, also after an error and a refusal', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const statuses: number[] = []
    for (const [at, slug] of [
      ['/whoami', 'acme'],
      ['/throws', 'globex'],
      ['/whoami', 'hooli'],
      ['/nowhere', 'acme'],
      ['/whoami', 'globex'],
    ] as const) {
      statuses.push(await statusOf(app.server, agent, at, slug))
    }
    agent.destroy()
    expect(statuses).toEqual([200, 500, 404, 404, 200])
    expect(routes.served).toEqual(['acme', 'globex', 'globex'])
    expect(new Set(leaked)).toEqual(new Set([undefined]))
  })

  it('keeps tenants apart that share a connection, one request behind the other without waiting', async () => {
    const slugs = Array.from({ length: 200 }, (_, n) => (n % 3 === 0 ? 'acme' : 'globex'))
    const requests = slugs.map((slug) => `GET /whoami HTTP/1.1\r\nHost: ${slug}.example.com\r\n\r\n`)
    const { body } = await sendRaw(portOf(app.server), requests.join('') + path('/nowhere'))
    expect([...body.matchAll(/"after":"(\w+)"/g)].map(([, slug]) => slug)).toEqual(slugs)
    expect(new Set(leaked)).toEqual(new Set([undefined]))
  })

  it('keeps the tenant in the error handler', async () => {
    const { status, body } = await sendRaw(portOf(app.server), path('/throws', 'globex'))
    expect(status).toBe(500)
    expect(body).toContain('"message":"thrown by the handler","tenant":"globex"')
  })

  it('keeps the tenant in the error handler when the body is no JSON', async () => {
    const head = 'POST /echo HTTP/1.1\r\nHost: globex.example.com\r\nContent-Type: application/json\r\n'
    const { status, body } = await sendRaw(
      portOf(app.server),
      `${head}Content-Length: 5\r\nConnection: close\r\n\r\n{oops`,
    )
    expect(status).toBeGreaterThanOrEqual(400)
    expect(body).toContain('"tenant":"globex"')
  })

  it('keeps the tenant of work that outlives its client, and gives it to nobody else', async () => {
    const client = connect(portOf(app.server), '127.0.0.1', () => client.write(path('/hang', 'acme')))
    await routes.hanging
    const closed = new Promise((resolve) => client.on('close', resolve))
    client.destroy()
    await closed
    const { body } = await sendRaw(portOf(app.server), path('/whoami', 'globex'))
    expect(body).toContain('"after":"globex"')
    expect(await routes.release()).toBe('acme')
    expect(new Set(leaked)).toEqual(new Set([undefined]))
    expect(runningTenant()).toBeUndefined()
  })

  it('says when to come back while the database is away', async () => {
    await app.close()
    await open({
      enter: async () => {
        throw new UnavailableError('ERR_OVERLOADED', 'Cannot queue', { retryAfterMs: 2_500 })
      },
    })
    const { status, head } = await sendRaw(portOf(app.server), path('/whoami'))
    expect(status).toBe(503)
    expect(head.toLowerCase()).toContain('retry-after: 3')
    expect(routes.served).toEqual([])
  })

  it('answers 500 without detail when the gate itself breaks, and a log that throws changes no answer', async () => {
    await app.close()
    await open({
      enter: () => {
        throw new Error('select secret from table')
      },
      onRefused: () => {
        throw new ResolveError('ERR_TENANT_AMBIGUOUS', 'the log is full')
      },
    })
    const { status, body } = await sendRaw(portOf(app.server), path('/whoami'))
    expect(status).toBe(500)
    expect(body).toBe('{"type":"about:blank","title":"Internal Server Error","status":500}')
    expect(routes.served).toEqual([])
  })
})

function statusOf(server: Server, agent: Agent, at: string, slug: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${slug}.example.com` }
    get({ agent, host: '127.0.0.1', port: portOf(server), path: at, headers }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode ?? 0))
    }).on('error', reject)
  })
}
