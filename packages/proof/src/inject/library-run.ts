import type { Client, PoolClient, QueryResult } from 'pg'
import { createRowhouse, type Rowhouse } from 'rowhouse'
import { failed, type Outcome, succeeded } from './outcome.ts'
import type { Payload } from './payload.ts'
import { type Found, findDifferences, PROBE, seededRandom } from './probe.ts'
import { SLUG_A, SLUG_B } from './scratch.ts'

/** The three ways application code sends a statement. */
export const WAYS = ['query', 'transaction', 'pool'] as const
export type Way = (typeof WAYS)[number]

/** One lane and one pooled connection: whoever comes next gets the connection the payload was on. */
const LIMITS = {
  lanes: 1,
  poolSize: 1,
  statementTimeoutMs: 10_000,
  lockTimeoutMs: 500,
  directoryTtlMs: 3_600_000,
} as const

type Place = 'lane' | 'pool'

/** Statements that may share a lane; all others take the pooled connection. */
const LANE_WORDS = /^\s*(select|insert|update|delete|merge|values|table|with)\b/i

/** A statement in the same block or on the same checkout: what the application would run after the injected one. */
const AFTERWARDS = 'select label from item order by id'

/** An application, and what tenant B finds on its two connections while nobody has attacked. */
interface Opened {
  readonly rowhouse: Rowhouse
  readonly lane: Found
  readonly pool: Found
}

async function openRowhouse(url: string, rootKey: string): Promise<Opened> {
  const rowhouse = await createRowhouse({ url, rootKey, ...LIMITS })
  try {
    // Both tenants are looked up now: a lookup between payload and probe would be the statement that is hit.
    await rowhouse.withTenant(SLUG_A, (db) => db.query('select'))
    const [lane, pool] = await Promise.all([probe(rowhouse, PROBE), probe(rowhouse, pooled(PROBE))])
    return { rowhouse, lane, pool }
  } catch (error) {
    await rowhouse.close()
    throw error
  }
}

/** An application on the real library, attacked by tenant A and looked at by tenant B. */
export class LibraryRun {
  readonly #open: () => Promise<Opened>
  readonly #seeded: string
  #opened: Opened
  #looks = 0

  private constructor(open: () => Promise<Opened>, seeded: string, opened: Opened) {
    this.#open = open
    this.#seeded = seeded
    this.#opened = opened
  }

  static async start(url: string, rootKey: string, admin: Client): Promise<LibraryRun> {
    const open = () => openRowhouse(url, rootKey)
    return new LibraryRun(open, await seededRandom(admin), await open())
  }

  /** Closes both connections and opens new ones. */
  async reconnect(): Promise<void> {
    await this.close()
    this.#opened = await this.#open()
  }

  /** Returns the seal of tenant A as an attacker reads it. */
  async ownSeal(): Promise<string> {
    return this.#opened.rowhouse.withTenant(SLUG_A, async (db) => {
      const { seal } = await db.one<{ seal: string }>(`select current_setting('rowhouse.seal') as seal`)
      return seal
    })
  }

  /** Sends a payload as tenant A. Never throws for what the payload did. */
  async send(payload: Pick<Payload, 'text'>, way: Way): Promise<Outcome> {
    const seen: unknown[] = []
    const keep = (result: QueryResult) => seen.push(result.rows ?? result)
    try {
      await this.#opened.rowhouse.withTenant(SLUG_A, async (db) => {
        if (way === 'query') return keep(await db.query(payload.text))
        if (way === 'pool') return this.#onCheckout(payload.text, seen, keep)
        return db.transaction(async (tx) => {
          keep(await tx.query(payload.text))
          keep(await tx.query(AFTERWARDS))
        })
      })
      return succeeded(seen)
    } catch (error) {
      return failed(error, seen)
    }
  }

  async #onCheckout(text: string, seen: unknown[], keep: (result: QueryResult) => void): Promise<void> {
    const client = (await this.#opened.rowhouse.pool.connect()) as PoolClient
    const notice = (message: unknown) => seen.push(message)
    client.on('notice', notice)
    try {
      keep(await client.query(text))
    } finally {
      // Application code goes on after an error: an ORM keeps its connection.
      await client.query(AFTERWARDS).then(keep, (error) => seen.push(String(error)))
      client.removeListener('notice', notice)
      client.release()
    }
  }

  /** Runs the next tenant's statement where the payload ran. Returns what differs from a connection nobody touched. */
  async lookAsNext(payload: Payload, way: Way): Promise<string[]> {
    const place = way === 'query' && LANE_WORDS.test(payload.text) ? 'lane' : 'pool'
    try {
      const differences = findDifferences(await this.#lookAt(place), this.#opened[place], this.#seeded)
      if (payload.family === 'session memory' && (await this.#remembersSequence(place)))
        differences.push('lastval(): of the tenant before')
      return differences.map((difference) => `${place}: ${difference}`)
    } catch (error) {
      return [`${place}: the next statement failed: ${String(error)}`]
    }
  }

  async #lookAt(place: Place): Promise<Found> {
    const { rowhouse, pool } = this.#opened
    const found = await probe(rowhouse, place === 'lane' ? PROBE : pooled(PROBE))
    if (place === 'pool' || found.pid !== pool.pid) {
      if (place === 'pool') this.#opened = { ...this.#opened, pool: { ...pool, pid: found.pid } }
      return found
    }
    // A text that was slow lately leaves the lane for the pool; a text never seen does not.
    return probe(rowhouse, `${PROBE} -- ${++this.#looks}`)
  }

  #remembersSequence(place: Place): Promise<boolean> {
    const text = 'select lastval()'
    return this.#opened.rowhouse.withTenant(SLUG_B, (db) =>
      db.query(place === 'lane' ? text : pooled(text)).then(
        () => true,
        () => false,
      ),
    )
  }

  async close(): Promise<void> {
    await this.#opened.rowhouse.close()
  }
}

/** A statement that begins with a comment takes a pooled connection. */
function pooled(text: string): string {
  return `/* pooled */ ${text}`
}

function probe(rowhouse: Rowhouse, text: string): Promise<Found> {
  return rowhouse.withTenant(SLUG_B, async (db) => (await db.one<{ found: Found }>(text)).found)
}
