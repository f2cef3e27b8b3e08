import { availableParallelism } from 'node:os'
import type { Pool } from 'pg'
import { type Logger, SILENT, withTenantFields } from './context/log.ts'
import {
  findTenantContext,
  isInTransaction,
  type ReadRouting,
  type ReadsFrom,
  requireTenantContext,
  runWithoutTenantContext,
  runWithTenantContext,
  settleInside,
  type TenantContext,
} from './context/tenant-context.ts'
import { ConfigError, isRowhouseError, TenantContextError, TenantError } from './errors.ts'
import {
  type AcrossTenants,
  type CrossTenantOptions,
  platformContext,
  runAcrossTenants,
} from './isolation/cross-tenant.ts'
import type { StatementNaming } from './isolation/pooler-probe.ts'
import { Router, type RouterConfig, type ServerEntry } from './isolation/router.ts'
import { toStatement } from './isolation/scoped-client.ts'
import { createScopedDb, type ScopedDb } from './isolation/scoped-db.ts'
import { assertReadsFrom } from './isolation/statements.ts'
import { type IsolationAlarm, isHoneyToken, type TripwireMode } from './isolation/tripwire.ts'
import type { UsageMeter } from './isolation/usage.ts'
import { toRowhouseError } from './postgres/database-error.ts'
import type { TenantGate } from './resolve/gate.ts'
import type { RequestFacts } from './resolve/request-facts.ts'
import { createResolver } from './resolve/resolver.ts'
import { createTenantDirectory } from './resolve/tenant-directory.ts'
import type { TenantSource } from './resolve/tenant-source.ts'
import { Sealer } from './seal/seal.ts'
import { parseRootKey } from './seal/tenant-key.ts'
import type { DirectoryEntry, TenantDirectory, TenantKey } from './tenant/directory.ts'
import { type Tenant, type TenantRow, toTenant } from './tenant/tenant.ts'
import { isTenantId, requireUnitId, type UnitId } from './tenant/tenant-id.ts'

export interface RowhouseOptions {
  /** Connection URL of a login that can bypass nothing, e.g. `rowhouse_app`. From env or a file, never a flag. */
  readonly url: string | undefined
  /** 32 random bytes as hex or base64; all tenants' seals derive from it. From env or a file. */
  readonly rootKey: string | undefined
  /** Where requests say which tenant they are for; all that speak must agree. Needed for `tenantFromRequest`. */
  readonly sources?: readonly TenantSource[]
  /** A logger with pino's shape; each line gets the running tenant. @defaultValue none */
  readonly log?: Logger
  /**
   * What happens when a row comes back whose `tenant_id` is not the tenant's of the statement: `enforce` fails the
   * statement, closes its connection and raises an alarm; `report` raises the alarm; `off` does not look.
   * @defaultValue 'enforce'
   */
  readonly tripwire?: TripwireMode
  /** Tokens of decoy tenants (`createDecoy()`): a row that contains one trips the wire as well. @defaultValue none */
  readonly honeyTokens?: readonly string[]
  /** Called with each alarm of the tripwire, before the statement fails. What it throws is logged and goes no further. */
  readonly onAlarm?: (alarm: IsolationAlarm) => void
  /** TLS as in `pg`; certificates are verified. @defaultValue what the URL says */
  readonly ssl?: boolean | object
  /** Schema of the application's tables. @defaultValue 'public' */
  readonly schema?: string
  /** Connections for transactions, long statements and ORMs' checkouts. @defaultValue 10 */
  readonly poolSize?: number
  /**
   * Connections of this process to one server, over all databases of it. Thousands of databases share them in turns.
   * At least 2: one is for the registry.
   * @defaultValue `poolSize` and `lanes` together
   */
  readonly connectionsPerServer?: number
  /**
   * Pipelined connections that carry short statements of all tenants; with 0, one is left for the registry alone. One keeps one core of the server
   * as busy as one Node process can; a second keeps others going while a slow statement holds the first.
   * @defaultValue 2, or 1 on a machine with one or two cores
   */
  readonly lanes?: number
  /**
   * Whether statements are prepared under names. `probe` finds out with each connection, at no cost where PostgreSQL
   * itself answers; false never does, as behind a pooler without prepared statements (PgBouncer before 1.21); true does
   * so unasked, which behind such a pooler runs statements of others or none. @defaultValue 'probe'
   */
  readonly preparedStatements?: boolean | 'probe'
  /**
   * What a tenant may take of this process, by its plan. A plan that is not named, or without a bound, takes turns with
   * all others and nothing else.
   * @defaultValue no bounds
   */
  readonly plans?: Readonly<Record<string, PlanShare>>
  /** Statements waiting in all, and of one tenant, before `ERR_OVERLOADED`. @defaultValue 10 000 and 2 000 */
  readonly maxWaiting?: number
  readonly maxWaitingPerTenant?: number
  /** How long a statement waits for its turn, in milliseconds. @defaultValue 5 000 */
  readonly waitTimeoutMs?: number
  /**
   * How long work waits for its tenant while that is moved to another placement, in milliseconds: single statements, the
   * first one of a transaction, checkouts. Then it fails with `ERR_TENANT_MOVING`; with 0, at once.
   * @defaultValue 5 000
   */
  readonly moveWaitMs?: number
  /** Upper bound of a statement in the database, in milliseconds. @defaultValue 30 000 */
  readonly statementTimeoutMs?: number
  readonly lockTimeoutMs?: number
  readonly idleInTransactionTimeoutMs?: number
  readonly connectTimeoutMs?: number
  /** How long a tenant found once is remembered, in milliseconds. Safe at any length: the database checks again. @defaultValue 30 000 */
  readonly directoryTtlMs?: number
  /** Shown in `pg_stat_activity`. @defaultValue 'rowhouse' */
  readonly applicationName?: string
}

/** What tenants of one plan may take of a process. */
export interface PlanShare {
  /** Statements and, counted for themselves, checked-out connections of one tenant at work at once. @defaultValue no bound */
  readonly maxConcurrent?: number
}

/** Whose work, and how much of that tenant it may see. */
export interface TenantScope {
  /** Slug or id. */
  readonly tenant: string
  /** Who acts, e.g. `user:42`; at most 200 characters. */
  readonly actor?: string
  /** Units this work may see in tables with unit scope. @defaultValue all */
  readonly units?: readonly string[]
  /** Refuses every write. @defaultValue false */
  readonly readOnly?: boolean
  /**
   * `replica` lets reads (SELECT, VALUES, TABLE, one by one) go to a replica of the tenant's server that shows what they
   * have to see. Writes and transactions go to the primary, and so does each read no replica can answer.
   * @defaultValue 'primary'
   */
  readonly reads?: ReadsFrom
  /**
   * Token of `writeToken()`: reads from a replica see what it covers. Writes of this process are seen without. What is no
   * token, as from a cookie somebody changed, counts as one made now.
   */
  readonly after?: string | undefined
  /** How old what a replica shows may be, in milliseconds, 0–3 600 000. @defaultValue 1 000 */
  readonly maxLagMs?: number
}

export interface Rowhouse extends TenantGate {
  /** The database of the tenant of the calling code. */
  readonly db: ScopedDb
  /** A real `pg.Pool` for Kysely, Drizzle, Prisma and anything on `pg`; runs as the tenant of the calling code. */
  readonly pool: Pool
  /** What each tenant cost in this process. */
  readonly usage: UsageMeter
  /** Finds tenants; answers may be one cache lifetime old. */
  readonly directory: TenantDirectory
  withTenant<T>(tenant: string | TenantScope, fn: (db: ScopedDb) => Promise<T>): Promise<T>
  crossTenant<T>(options: CrossTenantOptions, fn: (across: AcrossTenants) => Promise<T>): Promise<T>
  /**
   * Makes a token that covers everything a tenant has written until now, for another process: in a cookie, a message, a
   * URL. There, `withTenant({ tenant, reads: 'replica', after: token }, …)` sees those writes. Asks the tenant's primary.
   *
   * @param tenant  slug or id. @defaultValue the tenant of the calling code
   * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, `ERR_TENANT_SUSPENDED`
   * @throws {TenantContextError} `ERR_TENANT_CONTEXT_MISSING` without a tenant
   * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
   */
  writeToken(tenant?: string): Promise<string>
  /** Returns the tenant of the calling code. @throws {TenantContextError} `ERR_TENANT_CONTEXT_MISSING` */
  currentTenant(): Tenant
  /** Waits for running statements, then closes all connections. Safe to call twice. */
  close(): Promise<void>
}

/**
 * Connects to a database in which Rowhouse is installed.
 *
 * Opens one connection and refuses to start when the login could bypass a wall, when the root key is another
 * installation's, or when the schema is not installed.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a missing or wrong option or root key, `ERR_NOT_INSTALLED`
 * @throws {IsolationError} `ERR_ISOLATION_ROLE_BYPASSES_RLS`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`; safe to retry
 * @example
 * ```ts
 * import { createRowhouse } from 'rowhouse'
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY })
 * const booked = await rowhouse.withTenant('acme', (db) =>
 *   db.many('select reference from shipment where status = $1', ['booked']))
 * await rowhouse.close()
 * ```
 * @see docs/decisions/0002-the-seal.md
 */
export async function createRowhouse(options: RowhouseOptions): Promise<Rowhouse> {
  const log = withTenantFields(options.log ?? SILENT)
  const sealer = new Sealer(parseRootKey(options.rootKey))
  const onAlarm = (alarm: IsolationAlarm) => raiseAlarm(alarm, log, options.onAlarm)
  const router = new Router({ ...routerConfig(options), log, onAlarm }, sealer)
  const directory = createTenantDirectory({
    lookup: (key) => lookUp(router, key),
    ...(options.directoryTtlMs === undefined ? {} : { ttlMs: options.directoryTtlMs }),
  })
  router.setRegistry(directory, () => listServers(router))
  const resolver = createResolver({ directory, sources: options.sources ?? [] })
  try {
    await assertRootKey(router)
  } catch (error) {
    await router.close()
    throw error
  }
  return {
    db: createScopedDb(router, requireTenantContext),
    pool: router.pool,
    usage: router.usage,
    directory,
    withTenant: (tenant, fn) => withTenant(router, directory, tenant, fn),
    crossTenant: (crossing, fn) => {
      const { actor, reason, tenants, write = false } = crossing
      log.warn({ actor, reason, tenants, write }, 'cross-tenant work asked for')
      return runAcrossTenants(router, crossing, fn)
    },
    writeToken: async (name) => {
      const tenant = name === undefined ? requireTenantContext().tenant : await requireTenant(directory, name)
      return router.writeToken(tenant).catch((error) => {
        throw toRowhouseError(error, tenant.id)
      })
    },
    currentTenant: () => requireTenantContext().tenant,
    enter: (request) => enter(resolver, request),
    onRefused: (error, request) => {
      const code = isRowhouseError(error) ? error.code : undefined
      log.warn({ err: error, code, target: request.target, remoteAddress: request.remoteAddress }, 'request refused')
    },
    close: () => router.close(),
  }
}

/** An alarm is found while bytes arrive, in the context of nobody in particular: the line names its own tenant. */
function raiseAlarm(alarm: IsolationAlarm, log: Logger, tell: RowhouseOptions['onAlarm']): void {
  const fail = (error: unknown) => {
    try {
      log.error({ err: error }, 'onAlarm failed')
    } catch {}
  }
  runWithoutTenantContext(() => {
    try {
      const { slug, ...fields } = alarm
      log.error({ ...fields, tenant: slug }, 'isolation alarm: a row came back that may not')
    } catch {}
    try {
      // An async function is a valid onAlarm, and its rejection would end the process.
      Promise.resolve(tell?.(alarm)).catch(fail)
    } catch (error) {
      fail(error)
    }
  })
}

async function withTenant<T>(
  router: Router,
  directory: TenantDirectory,
  tenant: string | TenantScope,
  fn: (db: ScopedDb) => Promise<T>,
): Promise<T> {
  const scope: TenantScope = typeof tenant === 'string' ? { tenant } : tenant
  const context = contextOf(await requireTenant(directory, scope.tenant), scope)
  assertMayEnter(context)
  const db = createScopedDb(router, () => {
    if (requireTenantContext() !== context) throw outsideOfBlock()
    return context
  })
  return runWithTenantContext(context, () => settleInside(() => fn(db)))
}

function outsideOfBlock(): TenantContextError {
  return new TenantContextError(
    'ERR_TENANT_CONTEXT_MISMATCH',
    'Cannot use this handle here: it belongs to another withTenant() block; use the one of the block that runs',
  )
}

/** Inside a transaction the connection is one tenant's: a second tenant's work would be silently left out of it. */
function assertMayEnter(context: TenantContext): void {
  const ambient = findTenantContext()
  if (ambient === undefined || !isInTransaction() || ambient.tenant.id === context.tenant.id) return
  throw new TenantContextError(
    'ERR_TENANT_CONTEXT_MISMATCH',
    `Cannot enter tenant "${context.tenant.slug}" inside a transaction of another tenant: end the transaction first`,
    { tenantId: ambient.tenant.id },
  )
}

async function requireTenant(directory: TenantDirectory, name: string): Promise<Tenant> {
  if (typeof name !== 'string' || name === '')
    throw new TypeError('Cannot enter a tenant without its slug or id: wanted a string')
  const entry = await directory.find({ by: isTenantId(name) ? 'id' : 'slug', value: name })
  if (entry === undefined)
    throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot enter tenant "${name}": it does not exist`)
  if (entry.tenant.state !== 'active') {
    throw new TenantError('ERR_TENANT_SUSPENDED', `Cannot enter tenant "${name}": it is ${entry.tenant.state}`, {
      tenantId: entry.tenant.id,
    })
  }
  return entry.tenant
}

async function enter(resolver: ReturnType<typeof createResolver>, request: RequestFacts): Promise<TenantContext> {
  const { tenant, actor, units } = await resolver.resolve(request)
  return contextOf(tenant, { ...(actor === undefined ? {} : { actor }), ...(units === undefined ? {} : { units }) })
}

/** Contexts without actor, units or limits, by tenant: their seal is then made once, not once per block. */
const plainContexts = new WeakMap<Tenant, TenantContext>()

function contextOf(tenant: Tenant, scope: Omit<TenantScope, 'tenant'>): TenantContext {
  const reads = readRouting(scope)
  const plain = scope.actor === undefined && scope.units === undefined && scope.readOnly !== true && !reads
  const known = plain ? plainContexts.get(tenant) : undefined
  if (known !== undefined) return known
  const context: TenantContext = Object.freeze({
    tenant,
    actor: scope.actor,
    units: scope.units?.map(requireUnitId),
    readOnly: scope.readOnly ?? false,
    timeoutMs: undefined,
    reads,
  })
  if (plain) plainContexts.set(tenant, context)
  return context
}

const MAX_LAG_MS = 3_600_000

function readRouting({ reads, after, maxLagMs }: Omit<TenantScope, 'tenant'>): ReadRouting | undefined {
  assertReadsFrom(reads)
  if (after !== undefined && typeof after !== 'string')
    throw new TypeError('Cannot read after this: wanted a token of writeToken()')
  if (maxLagMs !== undefined && (!Number.isInteger(maxLagMs) || maxLagMs < 0 || maxLagMs > MAX_LAG_MS)) {
    throw new RangeError(`Cannot let replicas lag ${maxLagMs} ms: wanted a whole number from 0 to ${MAX_LAG_MS}`)
  }
  if (reads === undefined && after === undefined && maxLagMs === undefined) return undefined
  return { from: reads ?? 'primary', after, maxLagMs }
}

interface FoundRow extends TenantRow {
  readonly actor: string | null
  readonly units: UnitId[] | null
  readonly moving?: boolean
}

async function lookUp(router: Router, key: TenantKey): Promise<DirectoryEntry | undefined> {
  const values = [key.by, key.value, key.by === 'api-key' ? key.secretSha256 : null]
  const statement = toStatement('select * from rowhouse.find_tenant($1, $2, $3)', values)
  const { rows } = await runWithoutTenantContext(() => router.run(platformContext(), statement)).catch((error) => {
    throw toRowhouseError(error)
  })
  const row = rows[0] as FoundRow | undefined
  if (row === undefined) return undefined
  return {
    tenant: toTenant(row),
    grant: row.actor === null ? undefined : { actor: row.actor, units: row.units ?? undefined },
    ...(row.moving === true ? { moving: true } : {}),
  }
}

async function listServers(router: Router): Promise<readonly ServerEntry[]> {
  const statement = toStatement('select name, kind, app_url, replica_urls from rowhouse.list_servers()')
  const { rows } = await runWithoutTenantContext(() => router.run(platformContext(), statement)).catch((error) => {
    throw toRowhouseError(error)
  })
  return rows
}

/** The platform's own seal must be accepted, or every tenant's will be refused one by one. */
async function assertRootKey(router: Router): Promise<void> {
  const statement = toStatement('select rowhouse.is_platform() as accepted')
  const { rows } = await router.run(platformContext(), statement).catch((error) => {
    throw toRowhouseError(error)
  })
  if ((rows[0] as { accepted: boolean } | undefined)?.accepted === true) return
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    'Cannot seal tenants of this database: the root key is not the one it was installed with; set ROWHOUSE_ROOT_KEY to that one',
  )
}

/**
 * Where the server may share two cores with this process, a second lane makes three busy processes of two: measured,
 * 16 reads in flight: 23,200/s with p99 2.5 ms on one lane, 16,800/s with p99 5.4 ms on two.
 */
function defaultLanes(): number {
  return availableParallelism() > 2 ? 2 : 1
}

const DEFAULT_POOL_SIZE = 10

function shareOf({ plans }: RowhouseOptions): ((plan: string) => number | undefined) | undefined {
  if (plans === undefined) return undefined
  for (const [plan, { maxConcurrent }] of Object.entries(plans)) {
    if (maxConcurrent === undefined || (Number.isSafeInteger(maxConcurrent) && maxConcurrent >= 1)) continue
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot give plan "${plan}" a share of ${maxConcurrent}: wanted maxConcurrent of 1 or more`,
    )
  }
  const bounds = new Map(Object.entries(plans).map(([plan, { maxConcurrent }]) => [plan, maxConcurrent]))
  return (plan) => bounds.get(plan)
}

const TRIPWIRE_MODES: readonly unknown[] = ['enforce', 'report', 'off'] satisfies TripwireMode[]

function assertTripwire({ tripwire = 'enforce', honeyTokens = [] }: RowhouseOptions): void {
  if (!TRIPWIRE_MODES.includes(tripwire)) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot set the tripwire to "${tripwire}": wanted ${TRIPWIRE_MODES.join(', ')}`,
    )
  }
  if (Array.isArray(honeyTokens) && honeyTokens.every(isHoneyToken)) return
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    'Cannot watch for honey rows: not every entry of honeyTokens is a token; give those that createDecoy() returned',
  )
}

function requireNaming(naming: unknown = 'probe'): StatementNaming {
  if (naming === 'probe' || typeof naming === 'boolean') return naming
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot set preparedStatements to "${naming}": wanted 'probe', true or false`,
  )
}

function requireCount(name: string, value: number, atLeast: number): number {
  if (Number.isSafeInteger(value) && value >= atLeast) return value
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot set ${name} to ${value}: wanted a whole number from ${atLeast} up`,
  )
}

function routerConfig(options: RowhouseOptions): Omit<RouterConfig, 'log' | 'onAlarm'> {
  assertTripwire(options)
  if (options.url === undefined || options.url === '') {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      'Cannot start without a database: set DATABASE_URL to a URL of role "rowhouse_app"',
    )
  }
  const poolSize = requireCount('poolSize', options.poolSize ?? DEFAULT_POOL_SIZE, 1)
  const lanes = requireCount('lanes', options.lanes ?? defaultLanes(), 0)
  const connections = options.connectionsPerServer ?? poolSize + Math.max(lanes, 1)
  const schema = options.schema ?? 'public'
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new ConfigError('ERR_CONFIG_INVALID', `Cannot use schema "${schema}": wanted a lower-case identifier`)
  }
  return {
    url: options.url,
    ssl: options.ssl,
    // pg_temp last: unnamed, it would come first and temporary tables would shadow real ones (CTX-15).
    searchPath: `${schema},pg_temp`,
    statementTimeoutMs: options.statementTimeoutMs ?? 30_000,
    lockTimeoutMs: options.lockTimeoutMs ?? 5_000,
    idleInTransactionTimeoutMs: options.idleInTransactionTimeoutMs ?? 60_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    preparedStatements: requireNaming(options.preparedStatements),
    lanes,
    poolSize,
    connectionsPerServer: requireCount('connectionsPerServer', connections, 2),
    maxWaiting: options.maxWaiting ?? 10_000,
    maxWaitingPerTenant: options.maxWaitingPerTenant ?? 2_000,
    waitTimeoutMs: options.waitTimeoutMs ?? 5_000,
    moveWaitMs: requireCount('moveWaitMs', options.moveWaitMs ?? 5_000, 0),
    maxRunningOf: shareOf(options),
    applicationName: options.applicationName ?? 'rowhouse',
    tripwire: options.tripwire ?? 'enforce',
    honeyTokens: options.honeyTokens ?? [],
  }
}
