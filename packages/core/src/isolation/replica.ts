import type { Logger } from '../context/log.ts'
import { UnavailableError } from '../errors.ts'
import { isContextRefused, toRowhouseError } from '../postgres/database-error.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import type { Executor } from './executor.ts'
import type { ServerCheck } from './guarded-client.ts'
import { findReplicaFault } from './replica-context.ts'
import type { Sample } from './replica-position.ts'

/** Why a server that should follow the primary is not read from. */
type Refusal = 'promoted' | 'other-cluster' | 'other-timeline'

const REFUSALS: Readonly<Record<Refusal, string>> = {
  promoted: 'it follows nobody: it was promoted, or is no replica',
  'other-cluster': 'it is of another cluster: its system identifier is not the primary’s',
  'other-timeline':
    'it is on another timeline than the primary: it has not followed the last failover, or followed another',
}

class ReplicaRefused extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(REFUSALS[refusal])
    this.refusal = refusal
  }
}

/**
 * How long a replica that failed is left alone, in milliseconds: doubled with each failure in a row. Meanwhile reads go
 * to the primary without a try; then one read tries.
 */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 30_000
/** A server that was refused changes by somebody's hand. */
const REFUSED_PAUSE_MS = 5_000
/** How long a replica that lagged is not asked for the same position: a refused read costs it an error and a line of log. */
const LAG_PAUSE_MS = 20
/** Databases of one replica held ready. */
const MAX_DATABASES = 100

/** Errors after which the primary may answer otherwise: the replica has not seen what is there, or cannot do it. */
const ASK_PRIMARY: ReadonlySet<unknown> = new Set([
  SQLSTATE.readOnlyTransaction,
  // A conflict with what the replica has to replay.
  SQLSTATE.serializationFailure,
  SQLSTATE.deadlockDetected,
  SQLSTATE.lockNotAvailable,
  // Made a moment ago.
  SQLSTATE.undefinedDatabase,
  SQLSTATE.undefinedSchema,
  SQLSTATE.undefinedTable,
  SQLSTATE.undefinedFunction,
  '42703',
])

/**
 * One replica of a server.
 *
 * Modes: ready → paused (it failed, or was refused) → trying (one read is on its way) → ready or paused again.
 */
export class Replica {
  /** For the log: `replica 2 of server "eu-1"`. */
  readonly name: string
  readonly #log: Logger
  readonly #open: (database: string | undefined, check: ServerCheck) => Executor
  readonly #primary: () => Sample | undefined
  /** By database; least recently used first. */
  readonly #executors = new Map<string, Executor>()
  #failures = 0
  #pausedUntilMs = 0
  #trying = false
  #laggedAt = 0n
  #laggedUntilMs = 0
  #history: string | undefined

  constructor(options: {
    readonly name: string
    readonly log: Logger
    readonly open: (database: string | undefined, check: ServerCheck) => Executor
    readonly primary: () => Sample | undefined
  }) {
    this.name = options.name
    this.#log = options.log
    this.#open = options.open
    this.#primary = options.primary
  }

  /** Tells whether a read that needs this position may be sent here now. Whoever is told so sends it. */
  admits(lsn: bigint): boolean {
    const nowMs = performance.now()
    if (nowMs < this.#pausedUntilMs || this.#trying) return false
    if (nowMs < this.#laggedUntilMs && lsn >= this.#laggedAt) return false
    this.#trying = this.#failures > 0
    return true
  }

  executor(database: string | undefined): Executor {
    // Connections were checked against a primary; behind another one they are made anew.
    const sample = this.#primary()
    const history = `${sample?.system} ${sample?.timeline}`
    if (history !== this.#history) this.#closeAll()
    this.#history = history
    const key = database ?? ''
    const known = this.#executors.get(key)
    if (known !== undefined) {
      this.#executors.delete(key)
      this.#executors.set(key, known)
      return known
    }
    const executor = this.#open(database, this.#check())
    this.#executors.set(key, executor)
    this.#closeSurplus()
    return executor
  }

  /** Says that it answered. */
  worked(): void {
    this.#trying = false
    if (this.#failures === 0) return
    this.#failures = 0
    this.#log.info({ replica: this.name }, 'replica is read from again')
  }

  /** Takes note of an error. Returns true when the primary should be asked instead. */
  failed(error: unknown, lsn: bigint): boolean {
    const fault = findReplicaFault(error)
    if (fault === 'lagging') {
      this.#laggedAt = lsn
      this.#laggedUntilMs = performance.now() + LAG_PAUSE_MS
      this.worked()
      return true
    }
    if (fault === 'promoted') return this.#refuse(new ReplicaRefused('promoted'))
    if (error instanceof ReplicaRefused) return this.#refuse(error)
    const known = toRowhouseError(error) as Error & { code?: unknown }
    if (isUnreachable(error, known.code)) return this.#pause(error)
    if (asksPrimary(error)) {
      this.worked()
      return true
    }
    // Its queues are full, or it was slow: the primary would be next.
    if (known instanceof UnavailableError) this.letGo()
    else this.worked()
    return false
  }

  /** Says that its try came to no end of its own. */
  letGo(): void {
    this.#trying = false
  }

  async close(): Promise<void> {
    await Promise.all([...this.#executors.values()].map((executor) => executor.close()))
  }

  /** Asked of each connection, in the round trip of the login check. */
  #check(): ServerCheck {
    return {
      columns: `pg_catalog.pg_is_in_recovery() as standby,
        (select system_identifier::text from pg_catalog.pg_control_system()) as system,
        greatest((select timeline_id from pg_catalog.pg_control_checkpoint()),
          (select min_recovery_end_timeline from pg_catalog.pg_control_recovery())) as timeline`,
      assert: ({ standby, system, timeline }) => {
        const primary = this.#primary()
        if (system !== primary?.system) throw new ReplicaRefused('other-cluster')
        if (standby !== true) throw new ReplicaRefused('promoted')
        if (timeline !== primary?.timeline) throw new ReplicaRefused('other-timeline')
      },
    }
  }

  #refuse(error: ReplicaRefused): true {
    this.#trying = false
    this.#failures++
    this.#pausedUntilMs = performance.now() + Math.max(REFUSED_PAUSE_MS, pauseAfter(this.#failures))
    const fields = { replica: this.name, reason: error.refusal }
    if (this.#failures === 1 || error.refusal === 'other-cluster') {
      const line = `replica is not read from: ${error.message}; correct replica_urls of its server in the registry`
      if (error.refusal === 'other-cluster') this.#log.error({ ...fields, code: 'ERR_CONFIG_INVALID' }, line)
      else this.#log.warn(fields, line)
    }
    this.#closeAll()
    return true
  }

  #pause(error: unknown): true {
    this.#trying = false
    this.#failures++
    this.#pausedUntilMs = performance.now() + pauseAfter(this.#failures)
    if (this.#failures === 1)
      this.#log.warn({ replica: this.name, err: error }, 'replica does not answer: reads go to the primary')
    return true
  }

  #closeAll(): void {
    for (const executor of this.#executors.values()) executor.close().catch(() => {})
    this.#executors.clear()
  }

  #closeSurplus(): void {
    for (const [key, executor] of this.#executors) {
      if (this.#executors.size <= MAX_DATABASES) return
      if (!executor.isIdle) continue
      this.#executors.delete(key)
      executor.close().catch(() => {})
    }
  }
}

function pauseAfter(failures: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1))
}

/** Codes that tell of this replica and not of the statement. */
const UNREACHABLE: ReadonlySet<unknown> = new Set([
  'ERR_DATABASE_UNAVAILABLE',
  'ERR_NOT_INSTALLED',
  'ERR_CONFIG_INVALID',
  'ERR_ISOLATION_ROLE_BYPASSES_RLS',
])

function isUnreachable(error: unknown, code: unknown): boolean {
  const { code: sqlState } = error as { code?: unknown }
  // 28: the login is refused.
  return UNREACHABLE.has(code) || (typeof sqlState === 'string' && /^28...$/.test(sqlState))
}

/**
 * Tells whether an error of a replica says nothing about the statement: it lags, or the primary may answer otherwise. A
 * context refused is of a placement it has not heard of yet, or no longer of one.
 */
export function asksPrimary(error: unknown): boolean {
  if (findReplicaFault(error) !== undefined || isContextRefused(error)) return true
  return ASK_PRIMARY.has((error as { code?: unknown } | undefined)?.code)
}
