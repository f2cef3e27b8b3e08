import type { Rowhouse } from 'rowhouse'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPlatform, type Platform, SETTINGS } from '../support/platform.ts'
import { HISTORY_SCHEMA, writeAlong } from './history.ts'

/** PostgreSQL 15, 16, 17 and 18 side by side; `move.test.ts` goes between 15 and 18 in every run. */
const IS_LONG = process.env.ROWHOUSE_TEST_LONG === '1'

describe.runIf(IS_LONG)('a tenant that works (only with the long suites, because it takes four servers)', () => {
  let platform: Platform
  let app: Rowhouse
  let servers: EmbeddedPostgres[] = []

  beforeAll(async () => {
    platform = await createPlatform({}, HISTORY_SCHEMA)
    servers = await Promise.all([16, 17].map((major) => startPostgres({ major: major as 16 | 17, settings: SETTINGS })))
    for (const [n, { url }] of servers.entries()) {
      const name = `pg-${16 + n}`
      const appUrl = Object.assign(new URL(url), {
        username: 'rowhouse_app',
        password: platform.central.appPassword,
      }).href
      process.env[`TEST_PG_${n}_ADMIN`] = url
      process.env[`TEST_PG_${n}_APP`] = appUrl
      await platform.plane.servers.add({
        name,
        region: 'eu',
        appUrl: `env:TEST_PG_${n}_APP`,
        adminUrl: `env:TEST_PG_${n}_ADMIN`,
      })
    }
    app = await platform.openApp()
    await platform.plane.provision({ slug: 'mover', wish: { model: 'pooled', server: 'main' } })
  })
  afterAll(async () => {
    await platform.close()
    await Promise.all(servers.map((server) => server.stop()))
  })

  /** Every pair of majors, in both directions. */
  const WAY = [
    'pg-16',
    'main',
    'pg-17',
    'main',
    'pg-16',
    'pg-17',
    'pg-16',
    'old-1',
    'pg-16',
    'old-1',
    'pg-17',
    'old-1',
    'main',
  ]

  it.each(WAY.map((server, n) => [WAY[n - 1] ?? 'main', server] as const))(
    'moves from %s to %s and loses nothing',
    async (_, server) => {
      const load = writeAlong(app, 'mover')
      const to = { model: 'pooled', server } as const
      const { id, state } = await platform.plane.moves.start({
        tenant: 'mover',
        to,
        reason: 'majors',
        requestedBy: 'test',
      })
      expect(state).toBe('switched')
      await platform.plane.moves.complete(id)
      const verdict = await load.stop()
      expect(verdict).toMatchObject({ lost: [], duplicated: [], stale: [], failures: [] })
      expect(verdict.acknowledged).toBeGreaterThan(0)
      expect(await platform.plane.findOrphans()).toEqual([])
    },
  )
})
