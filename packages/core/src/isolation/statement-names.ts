import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { WireConnection } from '../postgres/pg-internals.ts'

/** Statements remembered per process; a text has to come twice to be worth preparing. */
const REMEMBERED_TEXTS = 2_000

/**
 * Prepared statements kept per connection. Each holds a plan of some 10 KB in the server; 200 are enough for an
 * application's hot statements and bound what generated SQL can take.
 */
const PREPARED_PER_CONNECTION = 200

/** Hexadecimal digits at the end of a home's name, which tell it from all others (`rowhouse.is_home`). */
const HOME_SUFFIX = 12

/**
 * Gives repeated statements a prepared-statement name, whoever sends them: an ORM's unnamed statements too.
 *
 * Planning a statement under policies costs 5 to 10 times its execution, so this is where most of the cost of
 * row-level security goes away.
 */
export class StatementNames {
  readonly #seen = new LRUCache<string, string | true>({ max: REMEMBERED_TEXTS })

  /**
   * Returns the name for a text, or undefined while it should be sent unnamed.
   *
   * @param home  schema the names in the text lead to: each has statements of its own, because PostgreSQL would plan a
   *   shared one anew at each change of the search path, and fail where result columns differ
   * @param pooled  whether somebody between keeps the names: PgBouncer also keeps those whose Parse failed, and cuts
   *   whoever uses one again
   */
  nameFor(text: string, home: string | undefined, connection: WireConnection, pooled: boolean): string | undefined {
    const known = this.#seen.get(text)
    if (known === undefined) {
      this.#seen.set(text, true)
      return undefined
    }
    const base =
      known === true ? `rowhouse_${createHash('sha256').update(text).digest('base64url').slice(0, 32)}` : known
    if (known === true) this.#seen.set(text, base)
    // The last part of a home's name is its tenant's; the first can be too long for a statement's name.
    const name = home === undefined ? base : `${base}_${home.slice(-HOME_SUFFIX)}`
    if (connection.parsedStatements[name] !== undefined) return name
    // Sent but not confirmed: were its flush to fail early, a second Bind to that name would die with 26000.
    if (connection.submittedNamedStatements[name] !== undefined) return undefined
    this.#makeRoom(connection)
    if (pooled) connection.close({ type: 'S', name })
    return name
  }

  /** Closes the oldest statement in front of this flush, where nothing before it can fail. */
  #makeRoom(connection: WireConnection): void {
    const names = Object.keys(connection.parsedStatements)
    const oldest = names[0]
    if (oldest === undefined || names.length < PREPARED_PER_CONNECTION) return
    connection.close({ type: 'S', name: oldest })
    delete connection.parsedStatements[oldest]
  }
}
