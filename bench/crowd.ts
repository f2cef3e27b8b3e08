import pg from 'pg'
import { createRowhouse, type Rowhouse } from 'rowhouse'
import { install, parseRootKey } from 'rowhouse/install'
import type { BenchDatabase } from './database.ts'
import { measureInTurns, percentiles, round } from './measure.ts'

type Model = 'pooled' | 'schema' | 'database'

/** How a platform grows: the last stage is 8,500 pooled tenants, 1,400 schemas and 100 databases. */
const STAGES = [100, 1_000, 10_000] as const
const CONNECTIONS = 60
const IN_FLIGHT = 64
const STAGE_MS = 8_000
const ROWS_PER_TENANT = 20
const TABLE = `create table reading (tenant_id uuid not null, id bigint not null, value text not null, primary key (tenant_id, id));
  alter table reading owner to rowhouse_owner; select rowhouse.protect('reading')`

interface Resident {
  readonly id: string
  readonly slug: string
  readonly model: Model
  readonly home: string | undefined
}

/** Reads in each model against each other, and a crowd of tenants of all models on one budget of connections. */
export async function benchCrowd(database: BenchDatabase) {
  const { admin, appUrl, rootKey } = database
  await admin.query(TABLE)
  const rowhouse = await createRowhouse({
    url: appUrl,
    rootKey,
    connectionsPerServer: CONNECTIONS,
    poolSize: 20,
    directoryTtlMs: 600_000,
  })
  await makeTemplate(database)
  const before = heapBytes()
  const residents: Resident[] = []
  const stages = []
  try {
    for (const size of STAGES) {
      residents.push(...(await settle(database, TEMPLATE, residents.length, size)))
      stages.push({ tenants: size, ...(await runStage(database, rowhouse, residents)) })
    }
    const models = await compareModels(rowhouse, residents)
    const idle = idleMemory(residents.length, before)
    return { connections: CONNECTIONS, inFlight: IN_FLIGHT, models, stages, idle }
  } finally {
    await rowhouse.close()
  }
}

const TEMPLATE = 'rowhouse_crowd'

async function makeTemplate({ admin, urlsFor, rootKey }: BenchDatabase): Promise<void> {
  await admin.query(`create database ${TEMPLATE}`)
  const { adminUrl } = urlsFor(TEMPLATE)
  await install({ url: adminUrl, rootKey })
  const inside = new pg.Client({ connectionString: adminUrl })
  await inside.connect()
  await inside.query(TABLE)
  await inside.end()
}

/** Enters tenants number `from` to `to` into the registry and gives them homes with rows. */
async function settle(database: BenchDatabase, template: string, from: number, to: number): Promise<Resident[]> {
  const { admin, urlsFor } = database
  const made: Resident[] = Array.from({ length: to - from }, (_, offset) => describe(from + offset))
  await register(database, made)
  await enter(
    admin,
    database.rootKey,
    made.filter(({ model }) => model !== 'database'),
  )
  for (const { home, id } of made.filter(({ model }) => model === 'schema')) {
    await admin.query(`create schema ${home} authorization rowhouse_owner; set search_path = ${home};
      ${TABLE}; ${fill(id)}; reset search_path`)
  }
  const pooled = made.filter(({ model }) => model === 'pooled').map(({ id }) => id)
  await admin.query(
    `insert into reading select t, n, 'r' || n from unnest($1::uuid[]) t, generate_series(1, $2::int) n`,
    [pooled, ROWS_PER_TENANT],
  )
  for (const resident of made.filter(({ model }) => model === 'database')) {
    await admin.query(`create database ${resident.home} template ${template}`)
    await admin.query(
      `revoke all on database ${resident.home} from public; grant connect on database ${resident.home} to rowhouse_app`,
    )
    const inside = new pg.Client({ connectionString: urlsFor(resident.home ?? '').adminUrl })
    await inside.connect()
    await enter(inside, database.rootKey, [{ ...resident, home: undefined }])
    await inside.query(fill(resident.id))
    await inside.end()
  }
  await admin.query('analyze')
  return made
}

function describe(n: number): Resident {
  const tail = n.toString(16).padStart(12, '0')
  const id = `00000000-0000-4000-8000-${tail}`
  const model: Model = n % 100 === 99 ? 'database' : n % 100 >= 85 ? 'schema' : 'pooled'
  return { id, slug: `crowd-${n}`, model, home: model === 'pooled' ? undefined : `t_crowd_${n}_${tail}` }
}

async function register({ admin }: BenchDatabase, made: readonly Resident[]): Promise<void> {
  const columns = [made.map(({ id }) => id), made.map(({ slug }) => slug)]
  await admin.query(
    'insert into rowhouse.tenant (id, slug, name) select id, slug, slug from unnest($1::uuid[], $2::text[]) t (id, slug)',
    columns,
  )
  const homes = (model: Model) => made.map((each) => (each.model === model ? each.home : null))
  await admin.query(
    `insert into rowhouse.placement (tenant_id, model, database_name, schema_name, key_version)
     select id, model, d, s, 1 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) t (id, model, d, s)`,
    [columns[0], made.map(({ model }) => model), homes('database'), homes('schema')],
  )
}

async function enter(client: pg.Client, rootKeyText: string, made: readonly Resident[]): Promise<void> {
  const rootKey = parseRootKey(rootKeyText)
  const keys = made.map(({ id }) => rootKey.deriveTenantKey(id as never, 1))
  await client.query(
    `insert into rowhouse.resident (tenant_id, key_version, ipad, opad, home) select id, 1, i, o, h from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::text[]) t (id, i, o, h)`,
    [
      made.map(({ id }) => id),
      keys.map(({ ipad }) => ipad),
      keys.map(({ opad }) => opad),
      made.map(({ home }) => home ?? null),
    ],
  )
}

function fill(id: string): string {
  return `insert into reading select '${id}', n, 'r' || n from generate_series(1, ${ROWS_PER_TENANT}) n`
}

const READ = 'select value from reading where id = $1'

async function runStage({ admin }: BenchDatabase, rowhouse: Rowhouse, residents: readonly Resident[]) {
  const latencies: Record<Model, number[]> = { pooled: [], schema: [], database: [] }
  let failed = 0
  let mostConnections = 0
  const firstVisitsMs = await visitEach(rowhouse, residents)
  const endMs = performance.now() + STAGE_MS
  const watch = async () => {
    while (performance.now() < endMs) {
      const { rows } = await admin.query(
        `select count(*)::int as n from pg_stat_activity where usename = 'rowhouse_app'`,
      )
      mostConnections = Math.max(mostConnections, rows[0].n)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const visit = async () => {
    while (performance.now() < endMs) {
      const resident = residents[Math.floor(Math.random() * residents.length)] as Resident
      const beganMs = performance.now()
      await rowhouse
        .withTenant(resident.slug, (db) => db.one(READ, [1 + Math.floor(Math.random() * ROWS_PER_TENANT)]))
        .then(
          () => latencies[resident.model].push(performance.now() - beganMs),
          () => {
            failed += 1
          },
        )
    }
  }
  await Promise.all([watch(), ...Array.from({ length: IN_FLIGHT }, visit)])
  const all = Object.values(latencies).flat()
  const byModel = Object.fromEntries(Object.entries(latencies).map(([model, each]) => [model, percentiles(each)]))
  return {
    opsPerSecond: Math.round((all.length / STAGE_MS) * 1000),
    ...percentiles(all),
    firstVisitsMs,
    failed,
    mostConnections,
    byModel,
  }
}

/** Everybody once: the directory and the server's catalog caches then know them. Returns milliseconds per visit. */
async function visitEach(rowhouse: Rowhouse, residents: readonly Resident[]): Promise<number> {
  const beganMs = performance.now()
  const pending = residents.values()
  const worker = async () => {
    for (const { slug } of pending) await rowhouse.withTenant(slug, (db) => db.one(READ, [1]))
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
  return round((performance.now() - beganMs) / residents.length, 3)
}

/** One tenant of each model, in turns. */
async function compareModels(rowhouse: Rowhouse, residents: readonly Resident[]) {
  const oneOf = (model: Model) => residents.find((each) => each.model === model)?.slug ?? ''
  const operations = Object.fromEntries(
    (['pooled', 'schema', 'database'] as const).map((model) => {
      const slug = oneOf(model)
      return [model, (turn: number) => rowhouse.withTenant(slug, (db) => db.one(READ, [1 + (turn % ROWS_PER_TENANT)]))]
    }),
  )
  const figures = await measureInTurns(operations, { inFlight: 16, roundMs: 2_000, rounds: 5 })
  const pooled = figures.pooled?.opsPerSecond ?? 1
  return Object.fromEntries(
    Object.entries(figures).map(([model, each]) => [
      model,
      { ...each, ofPooled: round(each.opsPerSecond / pooled, 2) },
    ]),
  )
}

/** What a tenant that rests costs this process: its entry in the directory, its seal, its share of pools. */
function idleMemory(tenants: number, before: number) {
  const after = heapBytes()
  return { tenants, heapMb: round(after / 1_048_576, 1), heapPerTenantKb: round((after - before) / 1024 / tenants, 2) }
}

/** Without `--expose-gc` the figure has what was not collected yet in it. */
function heapBytes(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
