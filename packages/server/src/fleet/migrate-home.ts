import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { UnavailableError } from 'rowhouse'
import { spreadTables } from '../citus/spread-tables.ts'
import { explainFailure, isLockConflict } from './home-failure.ts'
import { homeLockKey } from './home-lock.ts'
import { fitsTransaction, opening, type Piece, type Target, toPieces } from './home-transaction.ts'
import { runAlone } from './home-without-transaction.ts'
import type { Runner } from './homes.ts'
import { digestOf, findBacklog, type LedgerRow, REFERENCES } from './ledger.ts'
import type { Migration } from './migration.ts'
import { memoKey, ProtectionMemo } from './protection-memo.ts'

export interface MigrateHomeOptions {
  /** How long one attempt waits for a lock, in milliseconds: the longest the application waits behind it. @defaultValue 1_000 */
  readonly lockTimeoutMs?: number
  /** How often a lock is asked for. @defaultValue 15: with growing pauses about a minute */
  readonly lockAttempts?: number
  /** Longest statement in a transaction, in milliseconds; 0 for none. It holds its locks that long. @defaultValue 60_000 */
  readonly statementTimeoutMs?: number
  /** Longest statement outside of transactions (CREATE INDEX CONCURRENTLY), in milliseconds. @defaultValue 3_600_000 */
  readonly concurrentTimeoutMs?: number
  /** Goes on where a newer release has migrated already. @defaultValue false: `ERR_SCHEMA_NEWER` */
  readonly allowNewer?: boolean
  /** Token of whoever froze the home and migrates it nevertheless. */
  readonly freezeToken?: string
  /** Stops between attempts and between migrations, never inside of one. */
  readonly signal?: AbortSignal
}

/** What became of a home. */
export interface MigratedHome {
  /** Ids of what ran now, in order; empty where nothing was to be done. */
  readonly applied: readonly string[]
  /** Last migration that ran here, now or before; undefined where none ever did. */
  readonly head: string | undefined
  /** `digestOf` all that ran here. */
  readonly digest: string
  /** Locks that were not granted in time and asked for again. */
  readonly retries: number
  /** Set where the home may not be changed now; then nothing ran. */
  readonly frozen: Freeze | undefined
}

export interface Freeze {
  readonly reason: string
  readonly until: Date
}

const LOCK_TIMEOUT_MS = 1_000
const LOCK_ATTEMPTS = 15
const STATEMENT_TIMEOUT_MS = 60_000
const CONCURRENT_TIMEOUT_MS = 3_600_000
/** Pauses double from the first to the longest, each cut at random, so that a fleet does not knock in step. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5_000

/**
 * Brings one home to the newest migration: the shared tables of a database, a tenant's schema, a tenant's database.
 *
 * Each migration is one transaction together with its line in the ledger and the protection of its tables; the first
 * migrations of an empty home are one transaction. What runs outside of transactions is recorded per statement. So a
 * process that is killed leaves nothing half done, and the same call goes on where it stopped. Two at once take turns.
 *
 * @param client a connection of the operator to the database the home lies in, outside of a transaction
 * @param home.schema the tenant's own schema; undefined for the tables in `public`. It has to exist
 * @param migrations in the order of the folder, as `readMigrations` returns them
 * @throws {MigrationError} `ERR_MIGRATION_FAILED` naming file and line, `ERR_SCHEMA_DRIFT` when a file changed after it
 *   ran, `ERR_SCHEMA_NEWER`, `ERR_PRIVILEGE_MISSING`
 * @throws {IsolationError} `ERR_ISOLATION_TABLE_UNPROTECTABLE` when a table of the migration cannot be a tenant table
 * @throws {UnavailableError} `ERR_TIMEOUT` when a lock was not granted in any attempt, `ERR_DATABASE_UNAVAILABLE`
 * @example
 * ```ts
 * import { migrateHome, readMigrations } from 'rowhouse-server'
 * import pg from 'pg'
 * const client = new pg.Client({ connectionString: process.env.ROWHOUSE_ADMIN_URL })
 * await client.connect()
 * const { applied } = await migrateHome(client, { schema: undefined }, await readMigrations('migrations'))
 * ```
 */
export async function migrateHome(
  client: Runner,
  home: { readonly schema: string | undefined },
  migrations: readonly Migration[],
  options: MigrateHomeOptions = {},
): Promise<MigratedHome> {
  const schema = home.schema ?? ''
  if (schema !== '' && !/^t_[a-z0-9_]{2,40}_[0-9a-f]{12}$/.test(schema)) {
    throw new RangeError(
      `Cannot migrate schema "${schema}": wanted the name of a tenant's own schema, t_<slug>_<12 hex digits>`,
    )
  }
  const work = new HomeWork(client, schema, options)
  try {
    const migrated = await work.run(migrations)
    if (schema === '') await spreadTables(client)
    return migrated
  } finally {
    await work.end()
  }
}

/** Answer of `rowhouse.home_state`. */
interface HomeState {
  readonly there: boolean
  readonly empty: boolean
  readonly ledger: readonly LedgerRow[]
  readonly freeze: { readonly token: string; readonly reason: string; readonly until: string } | null
  /** Versions of PostgreSQL and of the schema `rowhouse`. */
  readonly installation: string
  /** The login itself is bound by no policy. */
  readonly bypasses: boolean
}

/** What protected tables in homes this process has been to. */
const PROTECTION = new ProtectionMemo()

/** One visit to a home. `run` once, then `end`, also after an error. */
class HomeWork {
  readonly #client: Runner
  readonly #schema: string
  readonly #options: MigrateHomeOptions
  readonly #limits: { readonly lockTimeoutMs: number; readonly statementTimeoutMs: number }
  /** Set from the first attempt on: an error behind the lock leaves it taken. */
  #visited = false
  #retries = 0
  #installation = ''

  constructor(client: Runner, schema: string, options: MigrateHomeOptions) {
    this.#client = client
    this.#schema = schema
    this.#options = options
    const { lockTimeoutMs = LOCK_TIMEOUT_MS, statementTimeoutMs = STATEMENT_TIMEOUT_MS } = options
    this.#limits = { lockTimeoutMs: requireMs(lockTimeoutMs, 1), statementTimeoutMs: requireMs(statementTimeoutMs, 0) }
  }

  async run(migrations: readonly Migration[]): Promise<MigratedHome> {
    const { ledger: rows, freeze, empty, bypasses } = await this.#retrying(() => this.#lockAndRead())
    const { pending, published, unknown } = findBacklog(rows, migrations, this.#options.allowNewer === true)
    const ran = new Set(rows.filter(({ home }) => home !== REFERENCES).map(({ id }) => id))
    const frozen = pending.length > 0 ? this.#frozenBy(freeze) : undefined
    const target = { home: this.#schema, published, unused: empty, bypasses }
    if (frozen === undefined) await this.#apply(pending, target)
    const applied = frozen === undefined ? pending.map(({ id }) => id) : []
    const now = new Set([...ran, ...applied])
    const present = [...migrations.filter(({ id }) => now.has(id)), ...unknown]
    return { applied, head: present.at(-1)?.id, digest: digestOf(present), retries: this.#retries, frozen }
  }

  /** Whoever froze the home migrates it all the same. */
  #frozenBy(freeze: HomeState['freeze']): Freeze | undefined {
    if (freeze === null || freeze.token === this.#options.freezeToken) return undefined
    return { reason: freeze.reason, until: new Date(freeze.until) }
  }

  async end(): Promise<void> {
    if (!this.#visited) return
    // Where the connection is gone, so are transaction and lock.
    await this.#client.query(`rollback; select pg_advisory_unlock(${homeLockKey(this.#schema)})`).catch(() => {})
  }

  async #apply(pending: readonly Migration[], target: Target): Promise<void> {
    const groups = inGroups(pending, target.unused)
    for (const group of groups) {
      this.#options.signal?.throwIfAborted()
      const [first] = group
      if (first === undefined) continue
      await this.#retrying(() =>
        fitsTransaction(first, target.unused)
          ? this.#transact(group, target, group === groups.at(-1) && this.#schema !== '')
          : this.#runAlone(first, target),
      )
    }
  }

  /** Takes the lock of the home and reads, behind it, what ran there. */
  async #lockAndRead(): Promise<HomeState> {
    const home = this.#schema
    this.#visited = true
    // The state is read by a statement of its own, so that it is seen as it is behind the lock.
    const results = (await this.#client.query(
      `begin; set local role rowhouse_owner; set local lock_timeout = ${this.#limits.lockTimeoutMs};
       select pg_advisory_lock(${homeLockKey(home)}); select rowhouse.home_state('${home || 'public'}') as state; commit`,
    )) as unknown as pg.QueryResult<{ state: HomeState }>[]
    const state = results.at(-2)?.rows[0]?.state
    if (state?.there !== true) {
      throw new RangeError(`Cannot migrate schema "${home}": it does not exist in this database`)
    }
    this.#installation = state.installation
    return state
  }

  async #transact(group: readonly Migration[], target: Target, isLast: boolean): Promise<void> {
    const key = memoKey(group, target.home, this.#installation)
    const remembered = key === undefined ? undefined : PROTECTION.find(key, target.home)
    const begin = opening(target, this.#limits)
    const pieces = toPieces(group, target, remembered)
    try {
      const ending = isLast ? ['commit', `select pg_advisory_unlock(${homeLockKey(target.home)})`] : ['commit']
      const text = [begin, ...pieces.map(({ sql }) => sql), ...ending].join('\n;\n')
      const results = (await this.#client.query(text)) as unknown as pg.QueryResult[]
      if (isLast) this.#visited = false
      if (key === undefined || remembered !== undefined) return
      const found = results.find(({ fields }) => fields?.[0]?.name === 'protect_home')?.rows[0]
      if (found !== undefined) PROTECTION.keep(key, target.home, found.protect_home)
    } catch (error) {
      await this.#client.query('rollback').catch(() => {})
      if (isLockConflict(error)) throw error
      // Together they said that something is wrong, one by one they say what. What goes well this time is kept.
      if (isAnswer(error)) return this.#transactStepwise(begin, toPieces(group, target, undefined))
      throw explainFailure(error, target.home, undefined)
    }
  }

  async #transactStepwise(begin: string, pieces: readonly Piece[]): Promise<void> {
    await this.#client.query(begin)
    for (const piece of pieces) {
      try {
        await this.#client.query(piece.sql)
      } catch (error) {
        await this.#client.query('rollback').catch(() => {})
        throw isLockConflict(error) ? error : explainFailure(error, this.#schema, piece)
      }
    }
    // Deferred constraints are checked here.
    await this.#client.query('commit').catch((error: unknown) => {
      throw explainFailure(error, this.#schema, undefined)
    })
  }

  #runAlone(migration: Migration, target: Target): Promise<void> {
    const { concurrentTimeoutMs = CONCURRENT_TIMEOUT_MS } = this.#options
    return runAlone(this.#client, migration, target, { ...this.#limits, concurrentTimeoutMs })
  }

  /** Locks that are not granted in time are given up, so that whoever queued behind goes on, and asked for again. */
  async #retrying<T>(work: () => Promise<T>): Promise<T> {
    const { lockAttempts = LOCK_ATTEMPTS, signal } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work()
      } catch (error) {
        await this.#client.query('rollback').catch(() => {})
        if (!isLockConflict(error)) throw explainFailure(error, this.#schema, undefined)
        if (attempt >= lockAttempts) throw lockRefused(error, this.#schema, attempt)
      }
      this.#retries += 1
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS)
      await delay(randomInt(Math.ceil(pause / 2), pause + 1), undefined, signal === undefined ? {} : { signal })
    }
  }
}

/** The first migrations of a home nobody uses go together; afterwards each is a transaction of its own. */
function inGroups(pending: readonly Migration[], unused: boolean): Migration[][] {
  const groups: Migration[][] = []
  for (const migration of pending) {
    const last = groups.at(-1)
    const joins =
      unused && fitsTransaction(migration, true) && last?.[0] !== undefined && fitsTransaction(last[0], true)
    if (joins) last?.push(migration)
    else groups.push([migration])
  }
  return groups
}

/** An error PostgreSQL answered with, over a connection that still works. */
function isAnswer(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^(08|53|57P)/.test(code)
}

function lockRefused(cause: unknown, home: string, attempts: number): UnavailableError {
  return new UnavailableError(
    'ERR_TIMEOUT',
    `Cannot migrate ${home === '' ? 'the shared tables' : `schema "${home}"`}: a lock was refused ${attempts} times; find the transaction that holds it in pg_stat_activity, then run again`,
    { cause },
  )
}

function requireMs(ms: number, least: number): number {
  if (Number.isInteger(ms) && ms >= least && ms <= 86_400_000) return ms
  throw new RangeError(`Cannot wait ${ms} ms: wanted a whole number from ${least} to 86400000`)
}
