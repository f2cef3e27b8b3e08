import { LRUCache } from 'lru-cache'
import type { QueryResult } from 'pg'
import type { Logger } from '../context/log.ts'
import type { ReadsFrom, TenantContext } from '../context/tenant-context.ts'
import { readConnectionUrl, urlOfDatabase } from '../postgres/connection-url.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import type { Tenant } from '../tenant/tenant.ts'
import type { Executor } from './executor.ts'
import type { ServerCheck } from './guarded-client.ts'
import { Replica } from './replica.ts'
import { type PositionRow, PrimaryPosition, type Sample, WriteTimes } from './replica-position.ts'
import { lsnText, toWriteToken } from './replica-token.ts'
import type { Statement } from './scoped-query.ts'

/** How old what a replica shows may be where nobody says otherwise, in milliseconds. */
const DEFAULT_MAX_LAG_MS = 1_000

/** How old the registry's list of replicas may be, in milliseconds. */
const REPLICAS_MAX_AGE_MS = 30_000
/** Texts of SELECTs that turned out to write. */
const REMEMBERED_WRITERS = 1_000

/** What the registry says about a server's replicas: references to their URLs. */
export interface ReplicaEntry {
  readonly name: string
  readonly replica_urls: readonly string[]
}

export interface ReplicaReadsOptions {
  readonly log: Logger
  readonly listReplicas: () => Promise<readonly ReplicaEntry[]>
  /** Asks the primary of a tenant for `POSITION_TEXT`. */
  readonly askPrimary: (tenant: Tenant) => Promise<PositionRow>
  /** Opens one database of a replica. */
  readonly open: (replica: OpenReplica) => Executor
}

export interface OpenReplica {
  readonly name: string
  readonly url: string
  readonly check: ServerCheck
  /** The cluster it was checked to be of. */
  readonly system: string
}

interface ServerReplicas {
  readonly references: readonly string[]
  readonly replicas: readonly Replica[]
}

interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Sends reads to a replica that shows what they must see, and to the primary when there is none.
 *
 * What a read must see: everything this process wrote for the tenant, what its token covers, and everything older than
 * it may lag (`PrimaryPosition`). The replica checks in the same flush. Whatever stands in the way on a replica, lag,
 * loss, promotion, a schema not there yet, the primary has the last word; a mistake of the statement itself has not.
 */
export class ReplicaReads {
  readonly #options: ReplicaReadsOptions
  readonly #positions = new Map<string, PrimaryPosition>()
  readonly #servers = new Map<string, ServerReplicas>()
  readonly #writers = new LRUCache<string, true>({ max: REMEMBERED_WRITERS })
  /** Undefined until somebody wants a replica: who never does pays nothing. */
  #writes: WriteTimes | undefined
  #listedMs = Number.NEGATIVE_INFINITY
  #listing: Promise<void> | undefined
  #turn = 0

  constructor(options: ReplicaReadsOptions) {
    this.#options = options
  }

  /** Tells whether a statement may go to a replica. */
  takes(context: TenantContext, statement: Statement, from: ReadsFrom | undefined): boolean {
    return (
      (from ?? context.reads?.from) === 'replica' && statement.kind === 'read' && !this.#writers.has(statement.text)
    )
  }

  /** Says that a tenant may have written. */
  wrote(tenantId: string): void {
    this.#writes?.record(tenantId, performance.now())
  }

  /** Makes a token that covers everything a tenant has written until now, wherever it did. */
  async writeToken(tenant: Tenant): Promise<string> {
    const ask = () => this.#options.askPrimary(tenant)
    return toWriteToken(await this.#positionOf(tenant.placement.server).sample(ask))
  }

  /**
   * Runs a read on a replica, or with `primary`.
   *
   * @param tenant  as it is known now
   */
  async read(
    tenant: Tenant,
    context: TenantContext,
    statement: Statement,
    options: ReadOptions | undefined,
    primary: () => Promise<QueryResult>,
  ): Promise<QueryResult> {
    const found = await this.#find(tenant, context)
    if (found === undefined) return primary()
    const { replica, need } = found
    try {
      const executor = replica.executor(tenant.placement.database)
      const result = await executor.run(context, { ...statement, after: lsnText(need.lsn) }, options)
      replica.worked()
      return result
    } catch (error) {
      if (options?.signal?.aborted) replica.letGo()
      else if (replica.failed(error, need.lsn)) return this.#onPrimary(tenant, statement, error, primary)
      throw error
    }
  }

  async close(): Promise<void> {
    const all = [...this.#servers.values()].flatMap(({ replicas }) => replicas)
    this.#servers.clear()
    await Promise.all(all.map((replica) => replica.close()))
  }

  async #onPrimary(
    tenant: Tenant,
    statement: Statement,
    error: unknown,
    primary: () => Promise<QueryResult>,
  ): Promise<QueryResult> {
    const writes = (error as { code?: unknown }).code === SQLSTATE.readOnlyTransaction
    if (writes) this.#writers.set(statement.text, true)
    try {
      return await primary()
    } finally {
      if (writes) this.wrote(tenant.id)
    }
  }

  /** Finds a replica and the position it has to have replayed; undefined when the primary has to be asked. */
  async #find(tenant: Tenant, context: TenantContext): Promise<{ replica: Replica; need: Sample } | undefined> {
    this.#writes ??= new WriteTimes(performance.now())
    const { server } = tenant.placement
    const replicas = await this.#replicasOf(server)
    if (replicas.length === 0) return undefined
    const { maxLagMs, after } = context.reads ?? {}
    const need = { sinceMs: this.#writes.lastOf(tenant.id), maxLagMs: maxLagMs ?? DEFAULT_MAX_LAG_MS, after }
    const ask = () => this.#options.askPrimary(tenant)
    // A primary that does not say where it is answers for itself, or says why not.
    const sample = await this.#positionOf(server)
      .required(need, ask)
      .catch(() => undefined)
    if (sample === undefined) return undefined
    const first = this.#turn++
    for (let i = 0; i < replicas.length; i++) {
      const replica = replicas[(first + i) % replicas.length]
      if (replica?.admits(sample.lsn)) return { replica, need: sample }
    }
    return undefined
  }

  #positionOf(server: string): PrimaryPosition {
    let position = this.#positions.get(server)
    if (position === undefined) {
      position = new PrimaryPosition()
      this.#positions.set(server, position)
    }
    return position
  }

  async #replicasOf(server: string): Promise<readonly Replica[]> {
    const ageMs = performance.now() - this.#listedMs
    if (ageMs > REPLICAS_MAX_AGE_MS) {
      const listing = this.#list()
      // Only the first has to be waited for; a list that cannot be had now is asked for again.
      if (this.#listedMs === Number.NEGATIVE_INFINITY) await listing.catch(() => {})
      else listing.catch(() => {})
    }
    return this.#servers.get(server)?.replicas ?? []
  }

  #list(): Promise<void> {
    this.#listing ??= this.#options
      .listReplicas()
      .then((entries) => {
        for (const { name, replica_urls } of entries) this.#setReplicas(name, replica_urls)
        const listed = new Set(entries.map(({ name }) => name))
        for (const name of this.#servers.keys()) if (!listed.has(name)) this.#setReplicas(name, [])
        this.#listedMs = performance.now()
      })
      .finally(() => {
        this.#listing = undefined
      })
    return this.#listing
  }

  #setReplicas(server: string, references: readonly string[]): void {
    const known = this.#servers.get(server)
    if (known !== undefined && known.references.join('\n') === references.join('\n')) return
    for (const replica of known?.replicas ?? []) replica.close().catch(() => {})
    const replicas = references.flatMap((reference, index) => {
      const name = `replica ${index + 1} of server "${server}"`
      const url = this.#urlOf(reference, name)
      return url === undefined ? [] : [this.#make(server, name, url)]
    })
    this.#servers.set(server, { references, replicas })
  }

  /** A URL that cannot be read costs one replica, not every read. */
  #urlOf(reference: string, name: string): string | undefined {
    try {
      return readConnectionUrl(reference, name)
    } catch (error) {
      this.#options.log.error({ err: error, replica: name }, 'replica is not read from: its URL cannot be had')
      return undefined
    }
  }

  #make(server: string, name: string, url: string): Replica {
    const position = this.#positionOf(server)
    return new Replica({
      name,
      log: this.#options.log,
      primary: () => position.latest,
      open: (database, check) =>
        this.#options.open({
          name,
          url: database === undefined ? url : urlOfDatabase(url, database),
          check,
          system: position.latest?.system ?? '',
        }),
    })
  }
}
