import type { ScopedDb } from 'rowhouse'
import type { ControlPlane } from '../control-plane.ts'
import type { RehearsalEvent, RehearsedPlace } from './rehearsal-report.ts'

/** What is rehearsed, and with whose functions. */
export interface RehearsalOptions {
  /** The operator's URL of a central test database: a superuser, or a login with BYPASSRLS. From env or a file. */
  readonly url: string | undefined
  /** The application's URL of the same database. From env or a file. */
  readonly appUrl: string | undefined
  /** The root key all databases are installed with. From env or a file. */
  readonly rootKey: string | undefined
  /** Folder of the application's migrations. */
  readonly migrations: string
  /** The control plane, where this process has one open already: there is one per process. @defaultValue one is opened and closed */
  readonly plane?: ControlPlane
  /**
   * Writes one row as a tenant, or some in one transaction, and returns its identity once that is acknowledged. Runs up to
   * `writers` times at once, and while the tenant is moved; may throw then. Uses `db` and nothing else.
   *
   * @param n  counts all writes of the rehearsal, from 0: make the identity of it, or of a UUID, so that no two are equal
   */
  readonly write: (db: ScopedDb, n: number) => Promise<string>
  /** Returns the identities of all rows that `write` wrote and that are there, each as often as it is there. */
  readonly read: (db: ScopedDb) => Promise<readonly string[]>
  /** Gives a new tenant what `write` needs, e.g. its first branch. @defaultValue nothing */
  readonly prepare?: (db: ScopedDb) => Promise<unknown>
  /** Where the tenant goes, in order, from shared tables on `main` and at the end back there. @defaultValue every model on every active server */
  readonly placements?: readonly RehearsedPlace[]
  /** Writes of each tenant before the first move, 1 to 100,000. @defaultValue 100 */
  readonly rows?: number
  /** Writers while the tenant is moved, 1 to 32; each writes at most 50 times per second. @defaultValue 4 */
  readonly writers?: number
  /** Told of each part when it is over. */
  readonly onEvent?: (event: RehearsalEvent) => void
}

const MAX_ROWS = 100_000
const MAX_WRITERS = 32

export type WantedRehearsal = RehearsalOptions & Required<Pick<RehearsalOptions, 'rows' | 'writers' | 'onEvent'>>

/** @throws {TypeError} for functions that are none @throws {RangeError} for numbers out of range and an empty list */
export function requireRehearsal(options: RehearsalOptions): WantedRehearsal {
  const { rows = 100, writers = 4, onEvent = () => {}, placements } = options
  for (const name of ['write', 'read'] as const) {
    if (typeof options[name] !== 'function') throw new TypeError(`Cannot rehearse moves: "${name}" is not a function`)
  }
  requireCount('rows', rows, MAX_ROWS)
  requireCount('writers', writers, MAX_WRITERS)
  if (placements?.length === 0)
    throw new RangeError('Cannot rehearse moves: "placements" is empty; leave it out for all')
  return { ...options, rows, writers, onEvent }
}

function requireCount(name: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return
  throw new RangeError(`Cannot rehearse moves with ${name} ${value}: wanted a whole number from 1 to ${max}`)
}
