import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FreightDemo, type ProgressEvent, startFreightDemo } from 'rowhouse-example-freight'
import { expect } from 'vitest'
import { withAdminClient } from '../../../../packages/core/test/support/admin-client.ts'
import { createEmptyDatabase, type TestDatabase } from '../../../../packages/core/test/support/database.ts'
import { inTurn } from './in-turn.ts'
import { findLayout } from './layout.ts'
import { type SecondServer, startSecondServer } from './second-server.ts'

/** The demonstration on a database of its own, with three tenants and 300 shipments, placed as `placeTenants` said. */
export interface TestDemo {
  readonly database: TestDatabase
  readonly dataDir: string
  readonly port: number
  readonly events: readonly ProgressEvent[]
  /** Stops it and starts it again on the same data. */
  restart(): Promise<TestDemo>
  stop(): Promise<void>
  /** Stops it and removes everything. */
  drop(): Promise<void>
}

export const SHIPMENTS = 300
export const TENANTS = ['acme', 'globex', 'amber-anchor'] as const

export async function startTestDemo(): Promise<TestDemo> {
  const database = await createEmptyDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'freight-'))
  // The login is one for the whole server: a password of our own would lock out the test files beside this one.
  const secrets = {
    rootKey: database.rootKey,
    appPassword: database.appPassword,
    sessionKey: randomBytes(32).toString('base64'),
  }
  await writeFile(join(dataDir, 'secrets.json'), JSON.stringify(secrets), { mode: 0o600 })
  const second = findLayout() && (await startSecondServer(database.appPassword))
  return start(database, dataDir, second)
}

async function start(database: TestDatabase, dataDir: string, second: SecondServer | undefined): Promise<TestDemo> {
  const events: ProgressEvent[] = []
  const options = {
    port: 0,
    dataDir,
    tenants: TENANTS.length,
    shipments: SHIPMENTS,
    databaseUrl: database.adminUrl,
    ...(second === undefined ? {} : { hybrid: { second: second.server, homes: findLayout() ?? {} } }),
    onProgress: (event: ProgressEvent) => events.push(event),
  }
  const demo: FreightDemo = await inTurn(database.adminUrl, () => startFreightDemo(options))
  await assertPlaced(database)
  return {
    database,
    dataDir,
    events,
    port: Number(new URL(demo.urls[0] ?? '').port),
    restart: async () => {
      await demo.stop()
      return start(database, dataDir, second)
    },
    stop: () => demo.stop(),
    drop: async () => {
      await demo.stop()
      await dropOwnDatabases(database)
      await database.drop()
      await second?.stop()
      await rm(dataDir, { recursive: true })
    },
  }
}

/** Tests that run over a layout which was not followed would say nothing. */
async function assertPlaced({ adminUrl }: TestDatabase): Promise<void> {
  const wanted = findLayout() ?? {}
  const shared = { model: 'pooled', server: 'main' }
  const placed = await withAdminClient(adminUrl, async (client) => {
    const text =
      'select t.slug, p.model, p.server from rowhouse.tenant t join rowhouse.placement p on p.tenant_id = t.id'
    return (await client.query<{ slug: string; model: string; server: string }>(text)).rows
  })
  const homes = Object.fromEntries(placed.map(({ slug, model, server }) => [slug, { model, server }]))
  expect(homes).toEqual(Object.fromEntries(TENANTS.map((slug) => [slug, wanted[slug] ?? shared])))
}

/** A tenant's own database on the test project's server outlives the central one otherwise. */
async function dropOwnDatabases({ adminUrl }: TestDatabase): Promise<void> {
  await withAdminClient(adminUrl, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `select database_name as name from rowhouse.placement where server = 'main' and database_name is not null`,
    )
    for (const { name } of rows) await client.query(`drop database if exists ${name} with (force)`)
  })
}
