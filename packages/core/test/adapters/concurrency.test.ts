import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromSubdomain } from '../../src/resolve/from-host.ts'
import { frameworks, type RunningApp, startNaive } from './frameworks.ts'
import { askAll, MEETING, REQUESTS, TENANTS, wrong } from './interleaved-requests.ts'
import { createMemoryGate, runningTenant } from './memory-gate.ts'
import { portOf } from './raw-http.ts'
import { createMeetingPoint, createRoutes } from './routes.ts'

describe.each(frameworks)('%s', (_name, start) => {
  let app: RunningApp
  beforeAll(async () => {
    const gate = createMemoryGate([fromSubdomain({ base: 'example.com' })])
    app = await start(gate, createRoutes(createMeetingPoint(MEETING)))
  })
  afterAll(() => app.close())

  it(`keeps ${TENANTS.length} tenants apart in ${REQUESTS} interleaved requests`, async () => {
    const answers = await askAll(portOf(app.server), 'GET', '/whoami')
    expect(wrong(answers)).toEqual([])
    expect(answers.length).toBe(REQUESTS)
  })

  it(`keeps them apart in ${REQUESTS} requests whose bodies are read from streams`, async () => {
    const answers = await askAll(portOf(app.server), 'POST', '/echo')
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
    const answers = await askAll(portOf(app.server), 'GET', '/whoami')
    expect(wrong(answers).length).toBeGreaterThan(REQUESTS / 10)
    expect(runningTenant()).toBeUndefined()
    await app.close()
  })
})
