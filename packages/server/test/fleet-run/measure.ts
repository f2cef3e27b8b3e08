/**
 * Measures a fleet of schemas beside a bare parallel loop of the same SQL:
 * `node --conditions=source --import tsx packages/server/test/fleet-run/measure.ts [schemas]`.
 *
 * The bare loop has the same number of connections, kept open, and sends one text per schema without ledger, locks, retry
 * or protection. Both sides run in turns, on columns of their own.
 */

import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { install } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'
import { snapshotHome } from '../../src/fleet/fingerprint.ts'
import { migrateHome } from '../../src/fleet/migrate-home.ts'
import { migrateUp } from '../../src/fleet/run.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'
import { manyTables, migrationsOf } from './folder.ts'

const TABLES = 30
const PARALLEL = 4
const schemas = Number(process.argv[2] ?? 200)

const server = await startPostgres({ major: 18 })
try {
  await install({ url: server.url, rootKey: randomBytes(32).toString('base64') })
  console.log(JSON.stringify(await measure(server.url)))
} finally {
  await server.stop()
}

async function measure(url: string): Promise<Record<string, number>> {
  const connections = new OperatorConnections(url)
  const names = await addTenants(url)
  const files: Record<string, string> = { '0001-tables.sql': manyTables(TABLES) }
  const filling = await migrateUp(connections, await migrationsOf(files), {
    perServer: PARALLEL,
    waves: [{ name: 'all' }],
  })
  const noopMs = await time(async () => migrateUp(connections, await migrationsOf(files)))
  const [bare, fleet]: [number[], number[]] = [[], []]
  for (let round = 1; round <= 3; round += 1) {
    bare.push(names.length / ((await time(() => bareLoop(url, names, `bare_${round}`))) / 1000))
    files[`000${round + 1}-column.sql`] = `alter table shipment_${round} add column fleet_${round} timestamptz;`
    const migrations = await migrationsOf(files)
    const ms = await time(() => migrateUp(connections, migrations, { perServer: PARALLEL, waves: [{ name: 'all' }] }))
    fleet.push(names.length / (ms / 1000))
  }
  const fingerprintMs = await fingerprints(connections, names)
  const freshMs = await freshHomes(url, await migrationsOf(files))
  await connections.close()
  return {
    schemas: names.length,
    fillPerSecond: round(filling.done / (filling.ms / 1000)),
    noopMs: round(noopMs),
    barePerSecond: round(median(bare)),
    fleetPerSecond: round(median(fleet)),
    ratio: Math.round((100 * median(fleet)) / median(bare)) / 100,
    freshSchemaMs: round(freshMs),
    fingerprintMs: round(fingerprintMs),
  }
}

async function addTenants(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const names: string[] = []
  for (let n = 0; n < schemas; n += 1) {
    const name = `t_tenant_${n}_${n.toString(16).padStart(12, '0')}`
    names.push(name)
    await client.query(`create schema ${name} authorization rowhouse_owner`)
    await client.query(
      `with made as (insert into rowhouse.tenant (id, slug, name) values (gen_random_uuid(), $1, $1) returning id)
       insert into rowhouse.placement (tenant_id, model, schema_name, key_version) select id, 'schema', $2, 1 from made`,
      [`tenant-${n}`, name],
    )
  }
  await client.end()
  return names
}

async function bareLoop(url: string, names: readonly string[], column: string): Promise<void> {
  const queue = [...names]
  const table = `shipment_${TABLES - Number(column.slice(-1))}`
  const work = async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      await client.query(
        `begin; set local search_path = ${name}, public; alter table ${table} add column ${column} timestamptz; commit`,
      )
    }
    await client.end()
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}

async function fingerprints(connections: OperatorConnections, names: readonly string[]): Promise<number> {
  const times: number[] = []
  for (const schema of names.slice(0, 40)) {
    await connections.transact({ server: 'main', database: undefined }, async (client) => {
      times.push(await time(() => snapshotHome(client, schema, [])))
    })
  }
  return median(times)
}

/** Median time of a schema that is made and filled, as provisioning does. */
async function freshHomes(url: string, migrations: Awaited<ReturnType<typeof migrationsOf>>): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const times: number[] = []
  for (let n = 0; n < 15; n += 1) {
    const schema = `t_fresh_${n}_${n.toString(16).padStart(12, '0')}`
    await client.query(`create schema ${schema} authorization rowhouse_owner`)
    times.push(await time(() => migrateHome(client, { schema }, migrations)))
  }
  await client.end()
  return median(times)
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
