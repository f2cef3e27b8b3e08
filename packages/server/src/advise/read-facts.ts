import pg from 'pg'
import { ConfigError, UnavailableError } from 'rowhouse'
import { type Facts, LARGE_ROWS, type Spread } from './facts.ts'
import { countRowsPerTenant, type TableReading } from './read-table.ts'
import { listTenantTables, type TenantTable } from './tenant-tables.ts'

export interface ReadFactsOptions {
  /** Column that says whose row it is. @defaultValue `tenant_id` */
  readonly tenantColumn?: string
  /** Time for the whole, in milliseconds, 1 000–3 600 000. @defaultValue 60_000 */
  readonly timeoutMs?: number
  /** Tables up to this size are counted, larger ones sampled. @defaultValue 67_108_864 (64 MB) */
  readonly countUpToBytes?: number
}

/** What a database says about itself; the rest of `Facts` only people know. */
export interface FactsFromDatabase {
  readonly facts: Pick<
    Facts,
    | 'tenants'
    | 'tenantTables'
    | 'tenantIndexes'
    | 'rowsPerTenant'
    | 'bytesPerTenant'
    | 'largeTenants'
    | 'peakConnections'
    | 'maxConnections'
  >
  readonly server: {
    readonly version: string
    readonly sharedBuffersBytes: number
    readonly databases: number
    readonly databaseBytes: number
    /** Tables, indexes, toast and views of this database without those of PostgreSQL itself. */
    readonly relations: number
    /** Schemas that hold a table with the tenant column. */
    readonly tenantSchemas: number
  }
  readonly tables: readonly TableReading[]
  /** What was not counted exactly, one sentence each. */
  readonly estimated: readonly string[]
  readonly elapsedMs: number
}

const DEFAULT_TIMEOUT_MS = 60_000
const DEFAULT_COUNT_UP_TO_BYTES = 64 * 1024 * 1024

/**
 * Reads from a live database what `advise` needs to know, in one read-only transaction.
 *
 * Works on any PostgreSQL from 15 on, also one that never saw Rowhouse. Small tables are counted, large ones sampled by
 * page, and what the time does not suffice for is taken from the statistics; `estimated` says which. Holds no lock
 * longer than it reads the table. Returns figures only, no tenant's id and no row.
 *
 * @param adminUrl  URL of a login that row-level security does not restrict
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when an option or the URL cannot be used, or no table has the column;
 *   `ERR_ADMIN_REQUIRED` when the login sees only some tenants' rows or may not read the tables
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; `ERR_TIMEOUT` when not even the catalog could be read in time
 * @example
 * ```ts
 * import { readFacts } from 'rowhouse-server'
 * const { facts, estimated } = await readFacts(process.env.ROWHOUSE_ADMIN_URL ?? '', { tenantColumn: 'account_id' })
 * console.log(facts.tenants, facts.rowsPerTenant.largest, estimated)
 * ```
 */
export async function readFacts(adminUrl: string, options: ReadFactsOptions = {}): Promise<FactsFromDatabase> {
  const { tenantColumn, timeoutMs, countUpToBytes } = requireOptions(options)
  const began = performance.now()
  const remainingMs = () => timeoutMs - (performance.now() - began)
  const client = await connect(adminUrl, timeoutMs)
  try {
    await client.query('begin isolation level repeatable read read only')
    await client.query(`set local lock_timeout = '500ms'; set local row_security = off`)
    await client.query(`select set_config('statement_timeout', $1, true)`, [String(Math.ceil(timeoutMs))])
    const server = await readServer(client)
    const tables = await listTenantTables(client, tenantColumn)
    if (tables.length === 0) throw nothingToRead(tenantColumn, server.database)
    const rows = new Map<string, { rows: number; bytes: number }>()
    const readings: TableReading[] = []
    for (const [index, table] of tables.entries()) {
      // Each of the tables left gets an equal share of the time left, so that the first large one cannot eat it all.
      const shareMs = remainingMs() / (tables.length - index)
      readings.push(await countRowsPerTenant(client, { table, tenantColumn, shareMs, countUpToBytes, rows }))
    }
    const registered = await countRegistered(client)
    await client.query('rollback')
    const { facts, estimated } = summarise(rows, readings, registered)
    return {
      facts: {
        ...facts,
        tenantTables: typicalTables(tables),
        tenantIndexes: typicalIndexes(tables),
        peakConnections: Math.max(1, server.connections),
        maxConnections: server.maxConnections,
      },
      server: {
        version: server.version,
        sharedBuffersBytes: Number(server.sharedBuffersBytes),
        databases: server.databases,
        databaseBytes: Number(server.databaseBytes),
        relations: server.relations,
        tenantSchemas: new Set(tables.map(({ schema }) => schema)).size,
      },
      tables: readings,
      estimated: [...estimated, 'Peak of connections is the number open now, which is a moment and not a peak'],
      elapsedMs: Math.round(performance.now() - began),
    }
  } catch (error) {
    throw explain(error, timeoutMs)
  } finally {
    await client.end().catch(() => {})
  }
}

function requireOptions(options: ReadFactsOptions): Required<ReadFactsOptions> {
  const tenantColumn = options.tenantColumn ?? 'tenant_id'
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const countUpToBytes = options.countUpToBytes ?? DEFAULT_COUNT_UP_TO_BYTES
  if (tenantColumn === '' || Buffer.byteLength(tenantColumn) > 63)
    throw invalid(`"tenantColumn" is "${tenantColumn}"; wanted the name of a column, 1 to 63 bytes`)
  if (!Number.isFinite(timeoutMs) || timeoutMs < 1_000 || timeoutMs > 3_600_000)
    throw invalid(`"timeoutMs" is ${timeoutMs}; wanted 1000 to 3600000`)
  if (!Number.isSafeInteger(countUpToBytes) || countUpToBytes < 0)
    throw invalid(`"countUpToBytes" is ${countUpToBytes}; wanted a whole number from 0 on`)
  return { tenantColumn, timeoutMs, countUpToBytes }
}

async function connect(adminUrl: string, timeoutMs: number): Promise<pg.Client> {
  let client: pg.Client
  try {
    if (!/^postgres(ql)?:\/\//.test(adminUrl)) throw new TypeError('no URL of PostgreSQL')
    client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: Math.min(timeoutMs, 15_000) })
  } catch {
    // The URL holds a password: it is neither quoted nor carried as the cause's text.
    throw invalid('the URL of the database cannot be read; wanted postgres://user:password@host:port/database')
  }
  // A connection that breaks between two statements would otherwise end the process.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (cause) {
    await client.end().catch(() => {})
    const message = `Cannot read facts: the database cannot be reached, ${(cause as Error).message}; check host, port and login`
    throw new UnavailableError('ERR_DATABASE_UNAVAILABLE', message, { cause })
  }
  return client
}

async function readServer(client: pg.Client) {
  const { rows } = await client.query<{
    database: string
    version: string
    maxConnections: number
    sharedBuffersBytes: string
    connections: number
    databases: number
    databaseBytes: string
    relations: number
  }>(
    `select current_database() as database, current_setting('server_version') as version,
            current_setting('max_connections')::int as "maxConnections",
            pg_size_bytes(current_setting('shared_buffers')) as "sharedBuffersBytes",
            (select count(*)::int from pg_stat_activity
              where backend_type = 'client backend' and pid <> pg_backend_pid()) as connections,
            (select count(*)::int from pg_database where not datistemplate) as databases,
            pg_database_size(current_database()) as "databaseBytes",
            (select count(*)::int from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname not in ('pg_catalog', 'information_schema') and c.oid >= 16384) as relations`,
  )
  const [row] = rows
  if (row === undefined) throw new Error('The server answered without a row')
  return row
}

/** A tenant may have no row yet: the registry knows it, where there is one. */
async function countRegistered(client: pg.Client): Promise<number> {
  const { rows: found } = await client.query<{ there: boolean }>(
    `select coalesce(has_table_privilege(to_regclass('rowhouse.tenant'), 'select'), false) as there`,
  )
  if (found[0]?.there !== true) return 0
  await client.query('savepoint registry')
  await client.query(`set local statement_timeout = '5s'`)
  try {
    const { rows } = await client.query<{ count: number }>('select count(*)::int as count from rowhouse.tenant')
    return rows[0]?.count ?? 0
  } catch {
    // Whoever may not see the registry still has the tenants of the tables.
    await client.query('rollback to savepoint registry')
    return 0
  }
}

function summarise(
  perTenant: ReadonlyMap<string, { rows: number; bytes: number }>,
  readings: readonly TableReading[],
  registered: number,
) {
  const byStatistics = Math.max(0, ...readings.map(({ tenants }) => tenants))
  const tenants = Math.max(perTenant.size, registered, byStatistics, 1)
  const estimated = readings.flatMap(({ table, how, why }) =>
    how === 'counted' ? [] : [`Rows of ${table} are ${how}: ${why}`],
  )
  if (tenants > perTenant.size && byStatistics === tenants)
    estimated.push('The number of tenants is taken from the statistics, where a sample saw fewer')
  // Tenants nobody saw a row of count as empty: leaving them out would make the median that of the busy ones.
  const empty = Array.from({ length: Math.min(tenants - perTenant.size, 1_000_000) }, () => ({ rows: 0, bytes: 0 }))
  const all = [...perTenant.values(), ...empty]
  const facts = {
    tenants,
    rowsPerTenant: spreadOf(all.map(({ rows }) => rows)),
    bytesPerTenant: spreadOf(all.map(({ bytes }) => bytes)),
    largeTenants: all.filter(({ rows }) => rows >= LARGE_ROWS).length,
  }
  return { facts, estimated: [...estimated, 'Bytes per tenant are its share of the rows of each table'] }
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.map(Math.round).toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
  return { median: at(0.5), p99: at(0.99), largest: at(1) }
}

/** With a schema per tenant the same tables stand in each schema: a tenant has those of one. */
function typicalTables(tables: readonly TenantTable[]): number {
  return Math.max(...groupBySchema(tables).map((group) => group.length))
}

function typicalIndexes(tables: readonly TenantTable[]): number {
  return Math.max(...groupBySchema(tables).map((group) => group.reduce((sum, { indexes }) => sum + indexes, 0)))
}

function groupBySchema(tables: readonly TenantTable[]): TenantTable[][] {
  const groups = new Map<string, TenantTable[]>()
  for (const table of tables) groups.set(table.schema, [...(groups.get(table.schema) ?? []), table])
  return [...groups.values()]
}

const INSUFFICIENT_PRIVILEGE = '42501'
const QUERY_CANCELED = '57014'
const LOCK_NOT_AVAILABLE = '55P03'

function explain(error: unknown, timeoutMs: number): unknown {
  if (!(error instanceof pg.DatabaseError)) {
    const lost = error instanceof Error && /Connection terminated|ECONNRESET/.test(error.message)
    if (!lost) return error
    const message = 'Cannot read facts: the connection was lost; nothing was changed, run it again'
    return new UnavailableError('ERR_DATABASE_UNAVAILABLE', message, { cause: error })
  }
  if (error.code === INSUFFICIENT_PRIVILEGE) {
    const message = `Cannot read facts: the login sees only a part, ${error.message}; use one that owns the tables and that row-level security does not restrict`
    return new ConfigError('ERR_ADMIN_REQUIRED', message, { cause: error })
  }
  if (error.code === QUERY_CANCELED || error.code === LOCK_NOT_AVAILABLE) {
    const message = `Cannot read facts: ${timeoutMs} ms did not suffice for the catalog; raise "timeoutMs"`
    return new UnavailableError('ERR_TIMEOUT', message, { cause: error })
  }
  return error
}

function nothingToRead(tenantColumn: string, database: string): ConfigError {
  return invalid(
    `no table of database "${database}" has a column "${tenantColumn}"; name the column that says whose row it is`,
  )
}

function invalid(fault: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot read facts: ${fault}`)
}
