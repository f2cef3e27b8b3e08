import { MigrationError, UnavailableError } from 'rowhouse'
import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import { type HomeSnapshot, snapshotHome } from './fingerprint.ts'
import { type FleetHome, listHomes } from './fleet-homes.ts'
import { explainFailure, isLockConflict } from './home-failure.ts'
import { fitsTransaction, opening, toPieces } from './home-transaction.ts'
import { nameOfHome } from './homes.ts'
import { digestOf, REFERENCES } from './ledger.ts'
import type { Migration } from './migration.ts'
import { compareSnapshots, type Difference, planRepair, type RepairPlan } from './repair.ts'

export interface DriftOptions {
  /** Home that counts as right. @defaultValue what the migrations make, in a schema that is made for the comparison and rolled back */
  readonly reference?: HomeAddress
  /** Homes looked at in parallel, 1 to 6. @defaultValue 4 */
  readonly concurrency?: number
  readonly signal?: AbortSignal
  /** Called after each home. */
  readonly onHome?: (home: HomeAddress, differences: readonly Difference[]) => void
}

export interface DriftReport {
  /** Fingerprint of what is right. */
  readonly fingerprint: string
  /** Homes that were compared. */
  readonly compared: number
  readonly drifted: readonly DriftedHome[]
  /** Homes that were not compared, and why: behind, server down, not reached. */
  readonly left: readonly { readonly home: HomeAddress; readonly tenant: string | undefined; readonly reason: string }[]
}

export interface DriftedHome {
  readonly home: HomeAddress
  readonly tenant: string | undefined
  readonly fingerprint: string
  readonly differences: readonly Difference[]
  readonly repair: RepairPlan
}

const CONCURRENCY = 4
const MOST_CONCURRENCY = 6
/** Passes for a tenant's schema, whose policies it has to get; no tenant's name begins with an underscore. */
const SCRATCH = 't__reference_000000000000'
const LIMITS = { lockTimeoutMs: 2_000, statementTimeoutMs: 60_000 }

/**
 * Compares what every current home really consists of with what the migrations make, and says how to mend it.
 *
 * Changes nothing but the fingerprints in the central list. Reads every home, so it takes its time: some 20 ms per home.
 *
 * @throws {MigrationError} `ERR_MIGRATION_INVALID` when migrations cannot be run for the comparison; give a `reference`
 * @throws {RangeError} for `concurrency` out of range
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`, `ERR_TIMEOUT`
 * @example
 * ```ts
 * import { findDrift, OperatorConnections, readMigrations } from 'rowhouse-server'
 * const connections = new OperatorConnections(process.env.ROWHOUSE_ADMIN_URL ?? '')
 * const { drifted } = await findDrift(connections, await readMigrations('migrations'))
 * for (const { home, repair } of drifted) console.log(home.schema, repair.statements.join(';\n'))
 * ```
 */
export async function findDrift(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  options: DriftOptions = {},
): Promise<DriftReport> {
  const { concurrency = CONCURRENCY, reference } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MOST_CONCURRENCY) {
    throw new RangeError(
      `Cannot look at ${concurrency} homes at a time: wanted concurrency from 1 to ${MOST_CONCURRENCY}`,
    )
  }
  const references = [...new Set(migrations.flatMap((each) => each.references))]
  const wanted =
    reference === undefined
      ? await snapshotOfMigrations(connections, migrations, references)
      : await snapshotAt(connections, reference, references)
  const search = new DriftSearch(connections, migrations, references, wanted, options)
  const queue = await listHomes(connections)
  await Promise.all(Array.from({ length: concurrency }, () => search.work(queue)))
  await search.keepFingerprints()
  return search.report()
}

function snapshotAt(
  connections: OperatorConnections,
  home: HomeAddress,
  references: readonly string[],
): Promise<HomeSnapshot> {
  return connections.transact(home, (client) => snapshotHome(client, home.schema, references))
}

/** Runs all migrations in a schema nobody sees, describes it and rolls back. */
async function snapshotOfMigrations(
  connections: OperatorConnections,
  migrations: readonly Migration[],
  references: readonly string[],
): Promise<HomeSnapshot> {
  const misfit = migrations.find((each) => !fitsTransaction(each, true))
  if (misfit !== undefined) {
    throw new MigrationError(
      'ERR_MIGRATION_INVALID',
      `Cannot compare with the migrations: "${misfit.file}" cannot run in a transaction; give a reference home`,
    )
  }
  return connections.use(CENTRAL, async (client) => {
    try {
      await client.query(`${opening({ home: '' }, LIMITS)}; create schema ${SCRATCH}`).catch((error: unknown) => {
        throw isLockConflict(error) ? busy(error) : error
      })
      const { rows } = await client.query<{ id: string }>('select id from rowhouse.applied_migration where home = $1', [
        REFERENCES,
      ])
      const target = { home: SCRATCH, published: new Set(rows.map(({ id }) => id)), unused: true, bypasses: false }
      await client.query(`set local search_path = ${SCRATCH}, public, pg_temp`)
      for (const piece of toPieces(migrations, target, undefined)) {
        await client.query(piece.sql).catch((error: unknown) => {
          throw explainFailure(error, SCRATCH, piece)
        })
      }
      return await snapshotHome(client, SCRATCH, references)
    } finally {
      await client.query('rollback').catch(() => {})
    }
  })
}

function busy(cause: unknown): UnavailableError {
  return new UnavailableError('ERR_TIMEOUT', 'Cannot compare now: somebody else is comparing; try again in a moment', {
    cause,
  })
}

class DriftSearch {
  readonly #connections: OperatorConnections
  readonly #migrations: readonly Migration[]
  readonly #references: readonly string[]
  readonly #wanted: HomeSnapshot
  readonly #options: DriftOptions
  readonly #digest: string
  readonly #drifted: DriftedHome[] = []
  readonly #left: DriftReport['left'][number][] = []
  readonly #fingerprints: { home: HomeAddress; fingerprint: string }[] = []

  constructor(
    connections: OperatorConnections,
    migrations: readonly Migration[],
    references: readonly string[],
    wanted: HomeSnapshot,
    options: DriftOptions,
  ) {
    this.#connections = connections
    this.#migrations = migrations
    this.#references = references
    this.#wanted = wanted
    this.#options = options
    this.#digest = digestOf(migrations)
  }

  async work(queue: FleetHome[]): Promise<void> {
    for (let home = queue.shift(); home !== undefined; home = queue.shift()) {
      this.#options.signal?.throwIfAborted()
      await this.#look(home)
    }
  }

  report(): DriftReport {
    const drifted = this.#drifted.sort((a, b) => (nameOfHome(a.home) < nameOfHome(b.home) ? -1 : 1))
    return { fingerprint: this.#wanted.fingerprint, compared: this.#fingerprints.length, drifted, left: this.#left }
  }

  keepFingerprints(): Promise<unknown> {
    const homes = this.#fingerprints.map(({ home }) => home)
    const values = [
      homes.map(({ server }) => server),
      homes.map(({ database = '' }) => database),
      homes.map(({ schema = '' }) => schema),
      this.#fingerprints.map(({ fingerprint }) => fingerprint),
    ]
    const text = `update rowhouse.fleet_home h set fingerprint = n.fingerprint
      from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as n (server, database_name, schema_name, fingerprint)
     where (h.server, h.database_name, h.schema_name) = (n.server, n.database_name, n.schema_name)`
    return this.#connections.transact(CENTRAL, (client) => client.query(text, values))
  }

  async #look(home: FleetHome): Promise<void> {
    const { server, database, schema, tenant } = home
    const address = { server, database, schema }
    const reason =
      home.serverState === 'down'
        ? `server "${server}" is down`
        : home.digest === this.#digest
          ? undefined
          : 'behind: migrate it first'
    if (reason !== undefined) {
      this.#left.push({ home: address, tenant, reason })
      return
    }
    try {
      const found = await snapshotAt(this.#connections, address, this.#references)
      if (database !== undefined) await this.#connections.disconnect(address)
      this.#fingerprints.push({ home: address, fingerprint: found.fingerprint })
      const differences = found.fingerprint === this.#wanted.fingerprint ? [] : compareSnapshots(this.#wanted, found)
      if (differences.length > 0) {
        const repair = await planRepair(differences, this.#wanted, this.#migrations)
        this.#drifted.push({ home: address, tenant, fingerprint: found.fingerprint, differences, repair })
      }
      this.#options.onHome?.(address, differences)
    } catch (error) {
      this.#left.push({ home: address, tenant, reason: (error as Error).message })
    }
  }
}
