import { Agent, request, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromSubdomain } from '../../src/resolve/from-host.ts'
import { frameworks, type RunningApp, startNaive } from './frameworks.ts'
import { createMemoryGate, runningTenant } from './memory-gate.ts'
import { portOf } from './raw-http.ts'
import { createMeetingPoint, createRoutes } from './routes.ts'

const TENANTS = ['acme', 'globex', 'initech', 'umbrella']
const REQUESTS = 600

/** Handlers meet in the middle in groups of this size; it divides REQUESTS and is below SOCKETS, so that all go on. */
const MEETING = 20
const SOCKETS = 40

interface Asked {
  readonly tenant: string
  readonly status: number
  readonly body: { readonly before?: string; readonly after?: string; readonly body?: { readonly tenant: string } }
}

function ask(server: Server, agent: Agent, tenant: string, method: 'GET' | 'POST'): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${tenant}.example.com`, 'content-type': 'application/json' }
    const path = method === 'GET' ? '/whoami' : '/echo'
    const sent = request({ agent, host: '127.0.0.1', port: portOf(server), path, method, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve({ tenant, status: answer.statusCode ?? 0, body: JSON.parse(text) }))
      answer.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(method === 'POST' ? JSON.stringify({ tenant }) : undefined)
  })
}

async function askAll(server: Server, method: 'GET' | 'POST'): Promise<Asked[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS })
  const tenants = Array.from({ length: REQUESTS }, (_, n) => TENANTS[n % TENANTS.length] ?? '')
  const answers = await Promise.all(tenants.map((tenant) => ask(server, agent, tenant, method)))
  agent.destroy()
  return answers
}

const wrong = (answers: readonly Asked[]) =>
  answers.filter(({ tenant, body }) => body.before !== tenant || body.after !== tenant)

describe.each(frameworks)('%s', (_name, start) => {
  let app: RunningApp
  beforeAll(async () => {
    const gate = createMemoryGate([fromSubdomain({ base: 'example.com' })])
    app = await start(gate, createRoutes(createMeetingPoint(MEETING)))
  })
  afterAll(() => app.close())

  it(`keeps ${TENANTS.length} tenants apart in ${REQUESTS} interleaved requests`, async () => {
    const answers = await askAll(app.server, 'GET')
    expect(wrong(answers)).toEqual([])
    expect(answers.length).toBe(REQUESTS)
  })

  it(`keeps them apart in ${REQUESTS} requests whose bodies are read from streams`, async () => {
    const answers = await askAll(app.server, 'POST')
    expect(wrong(answers)).toEqual([])
    expect(answers.filter(({ tenant, body }) => body.body?.tenant !== tenant)).toEqual([])
  })
})

describe('a variable of the module (control)', () => {
  it('mixes tenants up in the same requests', async () => {
    const app = await startNaive((tenant) => ({
      ...createRoutes(),
      whoami: async () => {
        const before = tenant()
        await meet()
        return { before, after: tenant() }
      },
    }))
    const meet = createMeetingPoint(MEETING)
    const answers = await askAll(app.server, 'GET')
    expect(wrong(answers).length).toBeGreaterThan(REQUESTS / 10)
    expect(runningTenant()).toBeUndefined()
    await app.close()
  })
})
