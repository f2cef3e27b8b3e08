import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startPostgres } from 'rowhouse-embedded'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findDrift } from '../../src/fleet/drift.ts'
import { readMigrations } from '../../src/fleet/migration-folder.ts'
import { migrateUp, resumeFleet } from '../../src/fleet/run.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'
import { createPlatform, DURABLE, type Platform } from '../support/platform.ts'

/** A server that loses power in the middle of a deployment. */
let platform: Platform
let connections: OperatorConnections
let dataDir: string
let restarted: Awaited<ReturnType<typeof startPostgres>> | undefined
const SLUGS = ['lost-a', 'lost-b', 'lost-c', 'lost-d']

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'rowhouse-old-'))
  platform = await createPlatform({}, undefined, { dataDir, settings: DURABLE })
  connections = new OperatorConnections(platform.central.adminUrl)
  for (const slug of SLUGS) await platform.plane.provision({ slug, wish: { model: 'schema', server: 'old-1' } })
})
afterAll(async () => {
  await connections.close()
  await platform.close()
  await restarted?.stop()
  await rm(dataDir, { recursive: true, force: true })
})

it('killed with -9 while a home is being migrated: resumed, every home has it once, and none differs', async () => {
  await writeFile(join(platform.migrations, '0002-weight.sql'), 'alter table shipment add column weight integer;\n')
  const migrations = await readMigrations(platform.migrations)
  const held = (await platform.plane.tenants.find('lost-c'))?.placement.schema
  const client = new pg.Client({ connectionString: platform.old.url })
  client.on('error', () => {})
  await client.connect()
  await client.query(`begin; lock table ${held}.shipment in access share mode`)
  const running = migrateUp(connections, migrations, { operator: 'ann@here' }).catch((error) => error)
  const waits = async () =>
    (
      await platform.onOld((old) =>
        old.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'rowhouse-server'`,
        ),
      )
    ).rowCount
  await expect.poll(waits, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
  const [pid] = readFileSync(join(dataDir, 'pgdata', 'postmaster.pid'), 'utf8').split('\n')
  process.kill(Number(pid), 'SIGKILL')
  await client.end().catch(() => {})
  restarted = await startPostgres({ dataDir, major: 15, settings: DURABLE, port: platform.old.port })
  await running
  await resumeFleet(connections, migrations).catch(() => migrateUp(connections, migrations))
  expect(await migrateUp(connections, migrations)).toMatchObject({ run: undefined, done: 0 })
  const app = await platform.openApp()
  for (const slug of SLUGS) {
    const text = `select count(*)::int as n from information_schema.columns where table_name = 'shipment' and column_name = 'weight' and table_schema = current_schema()`
    expect(await app.withTenant(slug, (db) => db.one(text)), slug).toEqual({ n: 1 })
  }
  expect((await findDrift(connections, migrations)).drifted).toEqual([])
  expect(await platform.plane.findOrphans()).toEqual([])
})
