import type { Pool, PoolClient, QueryResult } from 'pg'
import type { Logger } from '../context/log.ts'
import { runWithoutTenantContext, type TenantContext } from '../context/tenant-context.ts'
import { ConfigError } from '../errors.ts'
import { readConnectionUrl, urlOfDatabase } from '../postgres/connection-url.ts'
import { isContextRefused } from '../postgres/database-error.ts'
import type { Sealer } from '../seal/seal.ts'
import type { TenantDirectory } from '../tenant/directory.ts'
import { MAIN_POOLED, type Placement } from '../tenant/placement.ts'
import { PLATFORM } from '../tenant/platform.ts'
import type { Tenant } from '../tenant/tenant.ts'
import { CITUS } from './citus-server.ts'
import { ConnectionBudget } from './connection-budget.ts'
import { ASSERT_RESIDENT } from './context-statement.ts'
import { Executor, type ExecutorConfig, type RunOptions } from './executor.ts'
import { isDisplaced, MovedTenants, type MovedTenantsConfig } from './moved-tenants.ts'
import { asksPrimary } from './replica.ts'
import { POSITION_TEXT, type PositionRow } from './replica-position.ts'
import { type OpenReplica, ReplicaReads } from './replica-reads.ts'
import { type Follow, type ScopedClient, toStatement } from './scoped-client.ts'
import type { Statement, StatementCost } from './scoped-query.ts'
import type { StatementKind } from './statement-kind.ts'
import { UsageMeter } from './usage.ts'

export interface RouterConfig
  extends Omit<ExecutorConfig, 'keepsLane' | 'record' | 'recordWait' | 'route' | 'replica' | 'variant'>,
    MovedTenantsConfig {
  readonly log: Logger
  /** Connections of this process to one server, over all its databases. */
  readonly connectionsPerServer: number
}

/** What the registry says about a server, for a process that routes to it. */
export interface ServerEntry {
  readonly name: string
  readonly kind: 'postgres' | 'citus'
  readonly app_url: string | null
  readonly replica_urls: readonly string[]
}

/** Databases held ready; others are opened again when they are asked for. */
const MAX_DATABASES = 500
/** The primary is there: a replica that cannot be reached shall not be waited for, in milliseconds. */
const REPLICA_CONNECT_TIMEOUT_MS = 2_000

/**
 * Sends each statement to the database its tenant lives in.
 *
 * Where that is comes with the tenant, from the registry. It may be old: then the database refuses the seal, the tenant
 * is looked up again and the statement sent once more to where it lives now, when it is there. It never ran, or was
 * rolled back.
 */
export class Router {
  readonly usage = new UsageMeter()
  readonly #config: RouterConfig
  readonly #sealer: Sealer
  readonly #central: Executor
  readonly #budgets = new Map<string, ConnectionBudget>()
  /** By server and database, least recently used first. */
  readonly #executors = new Map<string, Executor>()
  readonly #replicas: ReplicaReads
  readonly #moved: MovedTenants
  #servers: ReadonlyMap<string, ServerEntry> = new Map()
  #reading: Promise<void> | undefined
  #listServers: (() => Promise<readonly ServerEntry[]>) | undefined

  constructor(config: RouterConfig, sealer: Sealer) {
    this.#config = {
      ...config,
      onAlarm: (alarm) => {
        this.usage.recordAlarm(alarm.kind)
        config.onAlarm(alarm)
      },
    }
    this.#sealer = sealer
    this.#moved = new MovedTenants(config, sealer)
    this.#central = this.#createExecutor(MAIN_POOLED.server, config.url, true)
    this.#replicas = new ReplicaReads({
      log: config.log,
      listReplicas: () => this.#listServers?.() ?? Promise.resolve([]),
      askPrimary: (tenant) => this.#askPosition(tenant),
      open: (replica) => this.#openReplica(replica),
    })
  }

  /** The pool applications see. Its own connections lead to the central database, its work wherever the tenant lives. */
  get pool(): Pool {
    return this.#central.pool
  }

  /** Connections open now, by server. */
  get connections(): ReadonlyMap<string, number> {
    return new Map([...this.#budgets].map(([server, budget]) => [server, budget.open]))
  }

  /** Says where to look up tenants whose seal was refused, and servers. */
  setRegistry(directory: TenantDirectory, listServers: () => Promise<readonly ServerEntry[]>): void {
    this.#moved.setDirectory(directory)
    this.#listServers = listServers
  }

  run(context: TenantContext, statement: Statement, options?: RunOptions): Promise<QueryResult> {
    if (!this.#replicas.takes(context, statement, options?.reads)) {
      const running = this.#runOnPrimary(context, statement, options)
      // Whoever says so of one statement may know that its functions write.
      return options?.reads === 'primary' ? running.finally(() => this.#replicas.wrote(context.tenant.id)) : running
    }
    const tenant = this.#sealer.currentTenant(context.tenant)
    return this.#replicas.read(tenant, context, statement, options, () =>
      this.#runOnPrimary(context, statement, options),
    )
  }

  /** Makes a token that covers what a tenant has written until now. */
  writeToken(tenant: Tenant): Promise<string> {
    return this.#replicas.writeToken(this.#sealer.currentTenant(tenant))
  }

  #runOnPrimary(context: TenantContext, statement: Statement, options?: RunOptions): Promise<QueryResult> {
    const sealedAs = this.#sealer.currentTenant(context.tenant)
    return this.#send(sealedAs, context, statement, options).catch((refused) => {
      if (!isDisplaced(refused) || context.tenant === PLATFORM) throw refused
      const send = () => this.#send(this.#sealer.currentTenant(context.tenant), context, statement, options)
      return this.#moved.follow({ context, sealedAs, refused, signal: options?.signal, send })
    })
  }

  async checkOut(context: TenantContext, signal?: AbortSignal): Promise<ScopedClient & PoolClient> {
    // A connection that has to wait with its first statement is given up: better to wait before it is taken.
    if (this.#moved.isAwaited(context.tenant.id)) await this.#runOnPrimary(context, IS_RESIDENT, { signal })
    const sealedAs = this.#sealer.currentTenant(context.tenant)
    const send = async () =>
      (await this.#executorOf(this.#sealer.currentTenant(context.tenant))).checkOut(context, signal)
    return send().catch((refused) => {
      if (!isDisplaced(refused) || context.tenant === PLATFORM) throw refused
      return this.#moved.follow({ context, sealedAs, refused, signal, send })
    })
  }

  /** Waits for running statements, then closes all connections. */
  async close(): Promise<void> {
    this.#moved.close()
    const all = [this.#central, ...this.#executors.values(), this.#replicas]
    await Promise.all(all.map((each) => each.close()))
  }

  async #askPosition(tenant: Tenant): Promise<PositionRow> {
    const platform = { tenant: PLATFORM, actor: undefined, units: undefined, readOnly: false, timeoutMs: undefined }
    const { rows } = await runWithoutTenantContext(() => this.#send(tenant, platform, toStatement(POSITION_TEXT)))
    return rows[0] as PositionRow
  }

  #openReplica({ name, url, check, system }: OpenReplica): Executor {
    const config: ExecutorConfig = {
      ...this.#config,
      url,
      connectTimeoutMs: Math.min(this.#config.connectTimeoutMs, REPLICA_CONNECT_TIMEOUT_MS),
      keepsLane: false,
      replica: { check, system },
      // What the primary answers instead is counted there.
      record: (context, error, cost) => {
        if (!asksPrimary(error)) this.usage.record(context, error, cost)
      },
      recordWait: (context, waitedMs) => this.usage.recordWait(context, waitedMs),
    }
    return new Executor(config, this.#sealer, this.#budgetOf(name))
  }

  #budgetOf(server: string): ConnectionBudget {
    let budget = this.#budgets.get(server)
    if (budget === undefined) {
      const { connectionsPerServer: max, waitTimeoutMs } = this.#config
      budget = new ConnectionBudget({ server, max, waitTimeoutMs })
      this.#budgets.set(server, budget)
    }
    return budget
  }

  #send(tenant: Tenant, context: TenantContext, statement: Statement, options?: RunOptions): Promise<QueryResult> {
    const executor = this.#executorOf(tenant)
    if (executor instanceof Executor) return executor.run(context, statement, options)
    return executor.then((opened) => opened.run(context, statement, options))
  }

  /** The central one without a promise in between: most statements of most installations go there. */
  #executorOf({ placement }: Tenant): Executor | Promise<Executor> {
    if (placement.database === undefined && placement.server === MAIN_POOLED.server) return this.#central
    const key = `${placement.server}/${placement.database ?? ''}`
    const known = this.#executors.get(key)
    if (known === undefined) return this.#open(key, placement)
    this.#executors.delete(key)
    this.#executors.set(key, known)
    return known
  }

  async #open(key: string, placement: Placement): Promise<Executor> {
    const shared = await this.#urlOf(placement.server)
    // Another statement may have opened it meanwhile.
    const known = this.#executors.get(key)
    if (known !== undefined) return known
    const url = placement.database === undefined ? shared : urlOfDatabase(shared, placement.database)
    const executor = this.#createExecutor(placement.server, url, false)
    this.#executors.set(key, executor)
    this.#closeSurplus()
    return executor
  }

  #closeSurplus(): void {
    if (this.#executors.size <= MAX_DATABASES) return
    for (const [key, executor] of this.#executors) {
      if (this.#executors.size <= MAX_DATABASES) return
      if (!executor.isIdle) continue
      this.#executors.delete(key)
      executor.close().catch(() => {})
    }
  }

  async #urlOf(server: string): Promise<string> {
    if (server === MAIN_POOLED.server) return this.#config.url
    if (!this.#servers.has(server)) await this.#readServers()
    const reference = this.#servers.get(server)?.app_url
    if (typeof reference === 'string') return readConnectionUrl(reference, `server "${server}"`)
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot reach server "${server}": the registry names no URL for the application; add it with "rowhouse server add"`,
    )
  }

  /** A placement names no server the registry does not have, so one that is unknown here was added since the last look. */
  #readServers(): Promise<void> {
    this.#reading ??= (this.#listServers?.() ?? Promise.resolve([]))
      .then((entries) => {
        this.#servers = new Map(entries.map((entry) => [entry.name, entry]))
      })
      .finally(() => {
        this.#reading = undefined
      })
    return this.#reading
  }

  #createExecutor(server: string, url: string, central: boolean): Executor {
    const variant = this.#servers.get(server)?.kind === 'citus' ? CITUS : undefined
    const config: ExecutorConfig = {
      ...this.#config,
      url,
      variant,
      keepsLane: central,
      lanes: central ? this.#config.lanes : Math.min(this.#config.lanes, 1) * (variant?.lanes ?? 1),
      record: (context, error, cost) => this.#record(context, error, cost),
      recordWait: (context, waitedMs) => this.usage.recordWait(context, waitedMs),
      follow: (from) => this.#follow(from),
      ...(central ? { route: this } : {}),
    }
    return new Executor(config, this.#sealer, this.#budgetOf(server))
  }

  #follow(from: Executor): Follow {
    return {
      knownOf: ({ tenant }) => this.#sealer.currentTenant(tenant),
      goOn: ({ known: sealedAs, holds, attempt, ...work }) => {
        const { context, refused, signal } = work
        if (context.tenant === PLATFORM) throw refused
        const send = async () => {
          const executor = await this.#executorOf(this.#sealer.currentTenant(context.tenant))
          return attempt(holds() && executor === from ? undefined : await executor.checkOut(context, signal))
        }
        return this.#moved.follow({ ...work, sealedAs, send })
      },
    }
  }

  #record(context: TenantContext, error: Error | undefined, cost: StatementCost): void {
    this.usage.record(context, error, cost)
    if (mayWrite(cost.kind)) this.#replicas.wrote(context.tenant.id)
    // A statement on a checked-out connection cannot be sent again elsewhere, but the next one shall go the right way.
    if (error === undefined || !isContextRefused(error) || context.tenant === PLATFORM) return
    if (this.#moved.isAwaited(context.tenant.id)) return
    this.#moved.refresh(context, this.#sealer.currentTenant(context.tenant)).catch(() => {})
  }
}

/** What policies ask, without a table: waits where a statement would, and fails where its seal is not accepted. */
const IS_RESIDENT = toStatement(ASSERT_RESIDENT)

function mayWrite(kind: StatementKind): boolean {
  return kind !== 'read' && kind !== 'begin' && kind !== 'settings'
}
