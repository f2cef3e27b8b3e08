import { hostname, userInfo } from 'node:os'
import pg from 'pg'
import { isRowhouseError, MigrationError, UnavailableError } from 'rowhouse'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import type { FleetCounts, FleetEvent, FleetReport, HomeFailure, HomeLeft } from './fleet-events.ts'
import { type FleetHome, findHomesBehind, listHeads } from './fleet-homes.ts'
import { withFleetLock } from './fleet-lock.ts'
import { nameOfHome } from './homes.ts'
import { digestOf } from './ledger.ts'
import { type LintFinding, lintMigrations } from './lint.ts'
import { type MigratedHome, type MigrateHomeOptions, migrateHome } from './migrate-home.ts'
import type { Migration } from './migration.ts'
import { assertUnchanged, type KnownMigration } from './migration-folder.ts'
import { Projection } from './projection.ts'
import { arrangeWaves, DEFAULT_WAVES, type Wave, type WaveRule } from './waves.ts'

/** What a resumed run takes over from the one it continues. */
export interface FleetOrder {
  /** @defaultValue canary tenants, shared tables, then 1 %, 10 % and all of the rest */
  readonly waves?: readonly WaveRule[]
  /** Homes migrated at a time on one server, 1 to 6. @defaultValue 4 */
  readonly perServer?: number
  /** Share of a wave's homes that may fail before the run stops, 0 to 1; a single failure stops small waves. @defaultValue 0.01 */
  readonly maxErrorRate?: number
}

export interface MigrateFleetOptions extends FleetOrder {
  /** Rules of the lint whose errors are accepted for this run, e.g. `M10`. */
  readonly allow?: readonly string[]
  /** Who does it, for the record. @defaultValue login name and host of this process */
  readonly operator?: string
  /** Lock, statement and retry limits of each home, and `allowNewer`. */
  readonly home?: Omit<MigrateHomeOptions, 'signal' | 'freezeToken'>
  /** Stops before the next home. What is at work is finished. */
  readonly signal?: AbortSignal
  readonly onEvent?: (event: FleetEvent) => void
}

/** What a run would do. */
export interface FleetPlan {
  readonly target: string | undefined
  /** Migrations that some home does not have yet, as far as is known. */
  readonly pending: readonly Migration[]
  readonly waves: readonly Wave[]
  /** Homes that cannot be migrated now. */
  readonly left: readonly HomeLeft[]
  /** What the lint says of pending migrations. Errors nobody allowed refuse the run. */
  readonly findings: readonly LintFinding[]
}

const PER_SERVER = 4
/** Of the operator's connections to a server; on the central one two more hold the lock and write down what happens. */
const MOST_PER_SERVER = 6
const MAX_ERROR_RATE = 0.01
/** Tenants that appear during the sweep are swept up by the next; more sweeps than this mean that something undoes our work. */
const MOST_SWEEPS = 10

/**
 * Says what `migrateUp` would do, and changes nothing.
 *
 * @throws {MigrationError} `ERR_SCHEMA_DRIFT` when a file changed after it ran
 * @example
 * ```ts
 * import { OperatorConnections, planMigrations, readMigrations } from 'rowhouse-server'
 * const connections = new OperatorConnections(process.env.ROWHOUSE_ADMIN_URL ?? '')
 * const { waves, findings } = await planMigrations(connections, await readMigrations('migrations'))
 * for (const { name, homes } of waves) console.log(name, homes.length)
 * ```
 */
export async function planMigrations(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  { waves: rules = DEFAULT_WAVES }: Pick<FleetOrder, 'waves'> = {},
): Promise<FleetPlan> {
  const behind = await findHomesBehind(connections, digestOf(migrations))
  const left = behind.flatMap((home) => reasonToLeave(home) ?? [])
  const out = new Set(left.map(({ home }) => home))
  const waves = arrangeWaves(
    behind.filter((home) => !out.has(home)),
    rules,
  )
  const target = migrations.at(-1)?.id
  if (behind.length === 0) return { target, pending: [], waves, left, findings: [] }
  const { known, heads } = await connections.transact(CENTRAL, async (client) => ({
    known: (await client.query<KnownMigration>('select distinct id, sha256 from rowhouse.applied_migration')).rows,
    heads: await listHeads(client),
  }))
  const files = new Set(migrations.map(({ id }) => id))
  assertUnchanged(
    known.filter(({ id }) => files.has(id)),
    migrations,
  )
  const pending = pendingSince(migrations, heads, new Set(known.map(({ id }) => id)))
  const ids = new Set(pending.map(({ id }) => id))
  const findings = lintMigrations(migrations).filter(({ migration }) => ids.has(migration))
  return { target, pending, waves, left, findings }
}

/** Homes that are new and empty do not make old migrations pending: nothing can be in their way there. */
function pendingSince(
  migrations: readonly Migration[],
  heads: readonly string[],
  known: ReadonlySet<string>,
): readonly Migration[] {
  const reached = heads.map((head) => migrations.findIndex(({ id }) => id === head)).filter((index) => index >= 0)
  if (reached.length === 0) return migrations.filter(({ id }) => !known.has(id))
  const least = Math.min(...reached)
  return migrations.filter(({ id }, index) => index > least || !known.has(id))
}

/** Servers that are down and frozen homes are reported with every run until they are reached. */
function reasonToLeave(home: FleetHome): HomeLeft | undefined {
  const { tenant, frozen } = home
  if (home.serverState === 'down') return { home, tenant, reason: `server "${home.server}" is down` }
  if (frozen === undefined) return undefined
  return { home, tenant, reason: frozenFor(frozen) }
}

function frozenFor({ reason, until }: { reason: string; until: Date }): string {
  return `frozen until ${until.toISOString()}: ${reason}`
}

/**
 * Migrates the fleet: canary tenants, then the shared tables, then everybody in growing waves.
 *
 * One operator at a time. Everything durable is in the database, so a run that was killed is resumed by the next; homes
 * that are current are not asked. Tenants that appear meanwhile are swept up at the end. Homes that fail do not throw:
 * they are in the report, and stop the run when there are too many of them.
 *
 * @returns what became of every home that was not current
 * @throws {MigrationError} `ERR_MIGRATION_LOCKED` naming who is at work, `ERR_SCHEMA_DRIFT` when a file changed after it
 *   ran, `ERR_MIGRATION_INVALID` when the lint found errors nobody allowed
 * @throws {RangeError} for `perServer` or `maxErrorRate` out of range
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when the central database is away; safe to retry
 * @example
 * ```ts
 * import { migrateUp, OperatorConnections, readMigrations } from 'rowhouse-server'
 * const connections = new OperatorConnections(process.env.ROWHOUSE_ADMIN_URL ?? '')
 * const report = await migrateUp(connections, await readMigrations('migrations'), { onEvent: (event) => console.log(JSON.stringify(event)) })
 * process.exitCode = report.outcome === 'done' ? 0 : 3
 * ```
 */
export function migrateUp(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  options: MigrateFleetOptions = {},
): Promise<FleetReport> {
  assertOptions(options)
  return withFleetLock(connections, async ({ lost }) => {
    const startedMs = performance.now()
    const plan = await planMigrations(connections, migrations, options)
    assertLinted(plan.findings, options.allow ?? [])
    const nothing = {
      run: undefined,
      outcome: 'done',
      reason: undefined,
      target: plan.target,
      done: 0,
      failures: [],
    } as const
    if (plan.waves.length === 0) return { ...nothing, left: plan.left, ms: performance.now() - startedMs }
    const signal = options.signal === undefined ? lost : AbortSignal.any([lost, options.signal])
    return new FleetRun(connections, migrations, plan, { ...options, signal }, lost).run()
  })
}

/**
 * Goes on with the last run that did not come to its end, in its order and with its limits.
 *
 * Homes that failed are tried again. Where no run is unfinished this is `migrateUp`.
 *
 * @throws what `migrateUp` throws
 */
export async function resumeFleet(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  options: MigrateFleetOptions = {},
): Promise<FleetReport> {
  const order = await connections.transact(CENTRAL, async (client) => {
    const { rows } = await client.query<{ state: string; options: FleetOrder }>(
      'select state, options from rowhouse.fleet_run order by id desc limit 1',
    )
    return rows[0] === undefined || rows[0].state === 'done' ? {} : rows[0].options
  })
  return migrateUp(connections, migrations, { ...order, ...options })
}

function assertOptions({
  perServer = PER_SERVER,
  maxErrorRate = MAX_ERROR_RATE,
  waves = DEFAULT_WAVES,
}: FleetOrder): void {
  if (!Number.isInteger(perServer) || perServer < 1 || perServer > MOST_PER_SERVER) {
    throw new RangeError(`Cannot migrate ${perServer} homes at a time: wanted perServer from 1 to ${MOST_PER_SERVER}`)
  }
  if (!(maxErrorRate >= 0 && maxErrorRate <= 1)) {
    throw new RangeError(`Cannot stop at an error rate of ${maxErrorRate}: wanted maxErrorRate from 0 to 1`)
  }
  arrangeWaves([], waves)
}

function assertLinted(findings: readonly LintFinding[], allow: readonly string[]): void {
  const errors = findings.filter(
    ({ severity, allowed, rule }) => severity === 'error' && allowed === undefined && !allow.includes(rule),
  )
  if (errors.length === 0) return
  const lines = errors.slice(0, 20).map(({ rule, file, line, message }) => `\n  ${file}:${line}: ${rule} ${message}`)
  throw new MigrationError(
    'ERR_MIGRATION_INVALID',
    `Cannot migrate the fleet: the lint refuses ${errors.length === 1 ? 'this' : `these ${errors.length}`}; mend the file, or allow the rule with a reason${lines.join('')}`,
  )
}

/** One run, from its row in `fleet_run` to the report. */
class FleetRun {
  readonly #connections: OperatorConnections
  readonly #migrations: readonly Migration[]
  readonly #plan: FleetPlan
  readonly #options: MigrateFleetOptions & { readonly signal: AbortSignal }
  readonly #lost: AbortSignal
  readonly #projection: Projection
  readonly #startedMs = performance.now()
  readonly #failures: HomeFailure[] = []
  readonly #left: HomeLeft[]
  readonly #seen = new Set<string>()
  #total = 0
  #done = 0
  #stopped: string | undefined
  #listenerError: { readonly error: unknown } | undefined

  constructor(
    connections: OperatorConnections,
    migrations: readonly Migration[],
    plan: FleetPlan,
    options: MigrateFleetOptions & { readonly signal: AbortSignal },
    lost: AbortSignal,
  ) {
    this.#connections = connections
    this.#migrations = migrations
    this.#plan = plan
    this.#options = options
    this.#lost = lost
    this.#projection = new Projection(connections)
    this.#left = [...plan.left]
    for (const { home } of plan.left) this.#seen.add(nameOfHome(home))
  }

  async run(): Promise<FleetReport> {
    const { waves, target } = this.#plan
    this.#total = waves.reduce((sum, { homes }) => sum + homes.length, 0)
    const { operator = `${userInfo().username}@${hostname()}` } = this.#options
    const run = await this.#enter(operator)
    const sizes = waves.map(({ name, homes }) => ({ name, homes: homes.length }))
    this.#emit({ type: 'run-started', run, operator, target, total: this.#total, waves: sizes })
    for (const wave of waves) await this.#wave(wave)
    await this.#sweep()
    await this.#projection.flush()
    const outcome = this.#stopped !== undefined ? 'stopped' : this.#failures.length > 0 ? 'failed' : 'done'
    const ms = performance.now() - this.#startedMs
    const reason = this.#stopped
    const report: FleetReport = {
      run,
      outcome,
      reason,
      target,
      done: this.#done,
      failures: this.#failures,
      left: this.#left,
      ms,
    }
    await this.#close(report)
    this.#lost.throwIfAborted()
    this.#emit({ type: 'done', report })
    if (this.#listenerError !== undefined) throw this.#listenerError.error
    return report
  }

  /** Whoever holds the lock knows that runs which say they are running were killed. */
  #enter(operator: string): Promise<number> {
    const { waves, perServer, maxErrorRate } = this.#options
    return this.#connections.transact(CENTRAL, async (client) => {
      await client.query(
        `update rowhouse.fleet_run set state = 'interrupted', ended_at = now() where state = 'running'`,
      )
      const { rows } = await client.query<{ id: string }>(
        'insert into rowhouse.fleet_run (operator, target, options) values ($1, $2, $3) returning id',
        [operator, this.#plan.target ?? null, { waves, perServer, maxErrorRate }],
      )
      return Number(rows[0]?.id)
    })
  }

  #close({ run, outcome, reason, done, failures }: FleetReport): Promise<unknown> {
    return this.#connections.transact(CENTRAL, (client) =>
      client.query(
        'update rowhouse.fleet_run set ended_at = now(), state = $2, reason = $3, done = $4, failed = $5 where id = $1',
        [run, outcome, reason ?? null, done, failures.length],
      ),
    )
  }

  async #wave(wave: Wave): Promise<void> {
    const { name, homes } = wave
    for (const home of homes) this.#seen.add(nameOfHome(home))
    if (this.#mustStop(name)) {
      for (const home of homes) this.#leave(name, home, this.#stopped ?? '')
      return
    }
    this.#emit({ type: 'wave-started', wave: name, homes: homes.length })
    const before = { done: this.#done, failed: this.#failures.length }
    const { perServer = PER_SERVER, maxErrorRate = MAX_ERROR_RATE } = this.#options
    const mayFail = wave.strict ? 0 : Math.floor(maxErrorRate * homes.length)
    const workers = [...groupByServer(homes).values()].flatMap((queue) =>
      Array.from({ length: Math.min(perServer, queue.length) }, async () => {
        for (let home = queue.shift(); home !== undefined; home = queue.shift()) {
          if (this.#mustStop(name)) this.#leave(name, home, this.#stopped ?? '')
          else await this.#visit(name, home)
          const failed = this.#failures.length - before.failed
          if (failed > mayFail) this.#stop(name, `${failed} of ${homes.length} homes of wave "${name}" failed`)
        }
      }),
    )
    await Promise.all(workers)
    this.#projection.assertWorks()
    const [done, failed] = [this.#done - before.done, this.#failures.length - before.failed]
    this.#emit({ type: 'wave-done', wave: name, done, failed })
  }

  /** Tenants that were made while the waves ran, by processes that know older files. */
  async #sweep(): Promise<void> {
    for (let sweep = 1; this.#stopped === undefined && sweep <= MOST_SWEEPS; sweep += 1) {
      await this.#projection.flush()
      const behind = await findHomesBehind(this.#connections, digestOf(this.#migrations))
      const late = behind.filter((home) => !this.#seen.has(nameOfHome(home)))
      if (late.length === 0) return
      const homes = late.filter((home) => {
        const left = reasonToLeave(home)
        if (left === undefined) return true
        this.#seen.add(nameOfHome(home))
        this.#left.push(left)
        return false
      })
      this.#total += homes.length
      await this.#wave({ name: sweep === 1 ? 'sweep' : `sweep ${sweep}`, homes, strict: false })
    }
  }

  async #visit(wave: string, home: FleetHome): Promise<void> {
    const startedMs = performance.now()
    const { tenant } = home
    this.#projection.tell(home, { state: 'running' })
    try {
      const { applied, head, digest, retries, frozen } = await this.#migrate(home)
      this.#projection.tell(home, { state: 'current', head, digest })
      if (frozen !== undefined) return this.#leave(wave, home, frozenFor(frozen))
      this.#done += 1
      const ms = performance.now() - startedMs
      this.#emit({ type: 'home-done', wave, home: addressOf(home), tenant, applied, retries, ms, ...this.#counts() })
    } catch (error) {
      if (this.#options.signal.aborted && (error as Error).name === 'AbortError') {
        this.#projection.tell(home, { state: 'current' })
        return this.#leave(wave, home, 'the run was stopped')
      }
      this.#fail(wave, home, error as Error)
    }
  }

  #fail(wave: string, home: FleetHome, error: Error): void {
    const { message } = error
    const code = isRowhouseError(error) ? error.code : undefined
    const failure = { home: addressOf(home), tenant: home.tenant, code, message }
    this.#projection.tell(home, { state: 'failed', error: message })
    this.#failures.push(failure)
    this.#emit({ type: 'home-failed', wave, ...failure, ...this.#counts() })
  }

  #leave(wave: string, home: FleetHome, reason: string): void {
    const left = { home: addressOf(home), tenant: home.tenant, reason }
    this.#left.push(left)
    this.#emit({ type: 'home-left', wave, ...left, ...this.#counts() })
  }

  async #migrate(home: FleetHome): Promise<MigratedHome> {
    const options = { ...this.#options.home, signal: this.#options.signal }
    if (home.database === undefined) {
      return this.#connections.use(home, (client) => migrateHome(client, home, this.#migrations, options))
    }
    // Connections to a database of its own serve one visit: pooled, they would pile up by the hundred.
    const url = await this.#connections.urlOf(home)
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      application_name: 'rowhouse-server',
    })
    client.on('error', () => {})
    try {
      await client.connect().catch((cause: Error) => {
        throw new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach ${nameOfHome(home)}: ${cause.message}`, {
          cause,
        })
      })
      return await migrateHome(client, home, this.#migrations, options)
    } finally {
      await client.end().catch(() => {})
    }
  }

  #mustStop(wave: string): boolean {
    if (this.#stopped === undefined && this.#lost.aborted) this.#stop(wave, "the fleet's lock was lost")
    if (this.#stopped === undefined && this.#options.signal.aborted) this.#stop(wave, 'the run was told to stop')
    return this.#stopped !== undefined
  }

  #stop(wave: string, reason: string): void {
    if (this.#stopped !== undefined) return
    this.#stopped = reason
    this.#emit({ type: 'stopped', wave, reason })
  }

  #counts(): FleetCounts {
    const failed = this.#failures.length
    const finished = this.#done + failed
    const perSecond = finished / Math.max((performance.now() - this.#startedMs) / 1_000, 0.001)
    const remainingMs = perSecond === 0 ? 0 : ((this.#total - finished) / perSecond) * 1_000
    return { done: this.#done, failed, total: this.#total, perSecond, remainingMs }
  }

  #emit(event: FleetEvent): void {
    try {
      this.#options.onEvent?.(event)
    } catch (error) {
      // Not the fault of the home at hand: end in order, then say so.
      this.#listenerError ??= { error }
      this.#stopped ??= 'onEvent threw'
    }
  }
}

function addressOf({ server, database, schema }: FleetHome): {
  server: string
  database: string | undefined
  schema: string | undefined
} {
  return { server, database, schema }
}

function groupByServer(homes: readonly FleetHome[]): Map<string, FleetHome[]> {
  const groups = new Map<string, FleetHome[]>()
  for (const home of homes) {
    const group = groups.get(home.server)
    if (group === undefined) groups.set(home.server, [home])
    else group.push(home)
  }
  return groups
}
