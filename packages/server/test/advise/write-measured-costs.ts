/**
 * Measures what a tenant without rows costs in each model, and writes `src/advise/measured-costs.json`.
 *
 *     node --conditions=source --import tsx packages/server/test/advise/write-measured-costs.ts
 *
 * Starts a PostgreSQL server of its own and takes about two minutes. Linux only: memory of backends is read from /proc.
 * Tables are protected by Rowhouse, because policies are part of what a backend caches per table.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createTenantAdmin, install, protect } from 'rowhouse/install'
import { type EmbeddedPostgres, startPostgres } from 'rowhouse-embedded'
import type { MeasuredCosts } from '../../src/advise/measured-costs.ts'

const TENANTS = 50
const TABLES = 30
/** How many schemas one backend touches, one after the other: shows that memory grows in a straight line. */
const TOUCHED = [1, 10, 25, 50]

const ROOT_KEY = Buffer.alloc(32, 7).toString('base64')
const TARGET = new URL('../../src/advise/measured-costs.json', import.meta.url)

const names = Array.from({ length: TABLES }, (_, index) => `table_${String(index + 1).padStart(2, '0')}`)
const tenants = Array.from({ length: TENANTS }, (_, index) => `t_${String(index + 1).padStart(3, '0')}`)

const dataDir = mkdtempSync(join(tmpdir(), 'rowhouse-costs-'))
let server = await start()
try {
  const pooled = await measurePooled()
  const schema = await measureSchemas()
  const database = await measureDatabases()
  // An empty buffer pool shows what a tenant's catalogs occupy once somebody works with it.
  await server.stop()
  server = await start()
  const buffers = await measureBuffers()
  const backends = await measureBackends()
  const costs: MeasuredCosts = {
    generated: 'by packages/server/test/advise/write-measured-costs.ts; run it again instead of editing',
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cores: cpus().length,
      cpu: cpus()[0]?.model ?? 'unknown',
      memoryBytes: totalmem(),
      node: process.version,
    },
    postgres: server.serverVersion,
    shape: { tenants: TENANTS, tables: TABLES, indexesPerTable: 2, policiesPerTable: 2, rows: 0 },
    models: {
      pooled: { ...pooled, bufferBytes: 0 },
      schema: { ...schema, bufferBytes: buffers.schema },
      database: { ...database, bufferBytes: buffers.database },
    },
    backend: backends,
  }
  writeFileSync(TARGET, `${JSON.stringify(costs, undefined, 2)}\n`)
  console.log(JSON.stringify(costs, undefined, 2))
} finally {
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
}

function start(): Promise<EmbeddedPostgres> {
  return startPostgres({ dataDir, settings: { fsync: 'off', autovacuum: 'off', shared_buffers: '256MB' } })
}

async function measurePooled() {
  await prepare('pooled')
  await makeTables('public', 'pooled')
  const before = await weigh('pooled')
  const admin = createTenantAdmin({ url: server.urlFor('pooled'), rootKey: ROOT_KEY })
  try {
    for (const slug of tenants) await admin.create({ slug: slug.replace('_', '-'), name: slug })
  } finally {
    await admin.close()
  }
  const after = await weigh('pooled')
  const migrateMs = await withClient('pooled', (client) => timed(() => addColumn(client, 'public')))
  return { ...perTenant(before, after), migrateMs: round(migrateMs / TENANTS) }
}

async function measureSchemas() {
  await prepare('schemas')
  const before = await weigh('schemas')
  for (const schema of tenants) {
    await withClient('schemas', async (client) => {
      await client.query(`create schema ${schema} authorization rowhouse_owner`)
    })
    await makeTables(schema, 'schemas')
  }
  const after = await weigh('schemas')
  const migrateMs = await withClient('schemas', (client) =>
    timed(async () => {
      for (const schema of tenants) await addColumn(client, schema)
    }),
  )
  return { ...perTenant(before, after), migrateMs: round(migrateMs / TENANTS) }
}

async function measureDatabases() {
  await prepare('template')
  await makeTables('public', 'template')
  for (const name of tenants)
    await withClient('postgres', async (client) => {
      await client.query(`create database ${name} template template`)
    })
  const each = await weigh(tenants[0] ?? '')
  const migrateMs = await timed(async () => {
    for (const name of tenants) await withClient(name, (client) => addColumn(client, 'public'))
  })
  return {
    diskBytes: each.bytes,
    files: each.files,
    catalogRows: each.catalogRows,
    relations: each.relations,
    migrateMs: round(migrateMs / TENANTS),
  }
}

async function measureBuffers() {
  await withClient('postgres', async (client) => {
    await client.query('create extension if not exists pg_buffercache')
  })
  await withClient('schemas', async (client) => {
    for (const schema of tenants) await touch(client, schema)
  })
  for (const name of tenants) await withClient(name, (client) => touch(client, 'public'))
  const bytes = await withClient('postgres', async (client) => {
    const { rows } = await client.query<{ datname: string; bytes: string }>(
      `select d.datname, count(*) * 8192 as bytes from pg_buffercache b join pg_database d on d.oid = b.reldatabase
        group by d.datname`,
    )
    return new Map(rows.map((row) => [row.datname, Number(row.bytes)]))
  })
  const databases = tenants.reduce((sum, name) => sum + (bytes.get(name) ?? 0), 0)
  return { schema: Math.round((bytes.get('schemas') ?? 0) / TENANTS), database: Math.round(databases / TENANTS) }
}

/** What one connection costs, and how it grows with what it touches. */
async function measureBackends(): Promise<MeasuredCosts['backend']> {
  const idle = await withClient('pooled', async (client) => {
    await client.query('select 1')
    return privateBytes(await pidOf(client))
  })
  const ownTables = await withClient('pooled', async (client) => {
    await touch(client, 'public')
    return privateBytes(await pidOf(client))
  })
  return withClient('schemas', async (client) => {
    const before = await cacheBytes(client)
    const growth: { relations: number; cacheBytes: number }[] = []
    let done = 0
    for (const count of TOUCHED) {
      for (const schema of tenants.slice(done, count)) await touch(client, schema)
      done = count
      // A table and its two indexes: toast tables are opened by long values only.
      growth.push({ relations: count * TABLES * 3, cacheBytes: (await cacheBytes(client)) - before })
    }
    const last = growth.at(-1) ?? { relations: 1, cacheBytes: 0 }
    return {
      idlePrivateBytes: idle,
      privateBytesAfterOneTenant: ownTables,
      privateBytesAfterAllSchemas: privateBytes(await pidOf(client)),
      cacheBytesPerRelation: Math.round(last.cacheBytes / last.relations),
      growth,
    }
  })
}

async function prepare(database: string): Promise<void> {
  await withClient('postgres', async (client) => {
    await client.query(`create database ${database}`)
  })
  await install({ url: server.urlFor(database), rootKey: ROOT_KEY, appPassword: 'measured-only' })
}

async function makeTables(schema: string, database: string): Promise<void> {
  const statements = names.map((name, index) => {
    const parent = names[index - 1]
    const reference = parent
      ? `, foreign key (tenant_id, parent_id) references ${schema}.${parent} (tenant_id, id)`
      : ''
    return `create table ${schema}.${name} (
              tenant_id uuid not null, id uuid not null default gen_random_uuid(), parent_id uuid, code text not null,
              name text, status text, amount numeric, data jsonb, changed_at timestamptz not null default now(),
              primary key (tenant_id, id)${reference});
            create index on ${schema}.${name} (tenant_id, parent_id)`
  })
  await withClient(database, async (client) => {
    await client.query(statements.join(';'))
  })
  await protect({ url: server.urlFor(database), tables: names.map((name) => ({ name: `${schema}.${name}` })) })
}

async function touch(client: pg.Client, schema: string): Promise<void> {
  for (const name of names) await client.query(`select * from ${schema}.${name} where tenant_id = gen_random_uuid()`)
}

async function addColumn(client: pg.Client, schema: string): Promise<void> {
  await client.query(`alter table ${schema}.table_01 add column added text`)
}

interface Weight {
  readonly bytes: number
  readonly files: number
  readonly catalogRows: number
  readonly relations: number
}

async function weigh(database: string): Promise<Weight> {
  return withClient(database, async (client) => {
    const { rows } = await client.query<{ bytes: string; files: string; relations: string }>(
      `select pg_database_size(oid) as bytes, (select count(*) from pg_ls_dir('base/' || oid)) as files,
              (select count(*) from pg_class) as relations
         from pg_database where datname = current_database()`,
    )
    const catalogs = await client.query<{ name: string }>(
      `select oid::regclass::text as name from pg_class
        where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r' and not relisshared`,
    )
    const counts = catalogs.rows.map(({ name }) => `(select count(*) from ${name})`).join(' + ')
    const total = await client.query<{ total: string }>(`select ${counts} as total`)
    const row = rows[0] ?? { bytes: '0', files: '0', relations: '0' }
    return {
      bytes: Number(row.bytes),
      files: Number(row.files),
      relations: Number(row.relations),
      catalogRows: Number(total.rows[0]?.total ?? 0),
    }
  })
}

function perTenant(before: Weight, after: Weight) {
  return {
    diskBytes: Math.max(0, Math.round((after.bytes - before.bytes) / TENANTS)),
    files: round((after.files - before.files) / TENANTS),
    catalogRows: round((after.catalogRows - before.catalogRows) / TENANTS),
    relations: round((after.relations - before.relations) / TENANTS),
  }
}

async function cacheBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    'select sum(total_bytes) as bytes from pg_backend_memory_contexts',
  )
  return Number(rows[0]?.bytes ?? 0)
}

async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}

function privateBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const kilobytes = [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)].map((match) => Number(match[1]))
  return kilobytes.reduce((sum, each) => sum + each, 0) * 1024
}

async function withClient<T>(database: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server.urlFor(database) })
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

async function timed(fn: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await fn()
  return performance.now() - began
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
