import pg from 'pg'
import { failed, type Outcome, succeeded } from './outcome.ts'
import { type Claim, FAMILIES, type Payload } from './payload.ts'
import { type Found, findDifferences, PROBE, seededRandom } from './probe.ts'
import { restoreOwnRows, type Scratch, WRITES_OWN_ROWS } from './scratch.ts'

/** Families that change the session although that is not what they claim. */
const STICKY: ReadonlySet<Payload['family']> = new Set(['role', 'replication role', 'cancel and terminate'])

/**
 * The usual way, attacked with the same payloads: a pool, BEGIN, `set_config('app.tenant_id', …, true)`, the text over
 * the simple protocol, COMMIT. A payload that does nothing here would prove nothing about the library.
 */
export class ControlRun {
  readonly #scratch: Scratch
  readonly #seeded: string
  readonly #baseline: Found
  #pool: pg.Pool

  private constructor(scratch: Scratch, seeded: string, baseline: Found, pool: pg.Pool) {
    this.#scratch = scratch
    this.#seeded = seeded
    this.#baseline = baseline
    this.#pool = pool
  }

  static async start(scratch: Scratch): Promise<ControlRun> {
    const pool = openPool(scratch.controlUrl)
    try {
      const seeded = await seededRandom(scratch.controlAdmin)
      const baseline = await probe(pool, scratch.b)
      return new ControlRun(scratch, seeded, baseline, pool)
    } catch (error) {
      await pool.end()
      throw error
    }
  }

  /** Tells whether the payload did here what its family claims. */
  async fires(payload: Payload): Promise<boolean> {
    const claim: Claim = FAMILIES[payload.family]
    if (WRITES_OWN_ROWS.test(payload.text)) await restoreOwnRows(this.#scratch.controlAdmin, this.#scratch.a)
    const before = claim === 'plant' ? await this.#rowsOfVictim() : 0
    const outcome = await this.#send(payload.text)
    const fired = await this.#judge(claim, payload, outcome, before)
    if (claim === 'poison' || STICKY.has(payload.family)) await this.#renew(payload)
    return fired
  }

  async #judge(claim: Claim, payload: Payload, outcome: Outcome, before: number): Promise<boolean> {
    if (claim === 'switch') return outcome.answer.includes(this.#scratch.canary)
    if (claim === 'plant') return (await this.#rowsOfVictim()) > before
    if (claim === 'reach') return outcome.error === undefined
    if (claim === 'allowed') return outcome.error === undefined
    if (payload.family === 'own role') await this.#reopen()
    return this.#isPoisoned(payload)
  }

  async #isPoisoned(payload: Payload): Promise<boolean> {
    try {
      if (findDifferences(await probe(this.#pool, this.#scratch.b), this.#baseline, this.#seeded).length > 0)
        return true
      if (payload.family !== 'session memory') return false
      return await this.#pool.query('select lastval()').then(
        () => true,
        () => false,
      )
    } catch {
      return true // the next tenant's statement failed: poisoned
    }
  }

  async #send(text: string): Promise<Outcome> {
    const seen: unknown[] = []
    try {
      await asTenant(this.#pool, this.#scratch.a, async (client) => {
        const answer = await client.query(text)
        seen.push(...[answer].flat().map((result) => result.rows))
      })
      return succeeded(seen)
    } catch (error) {
      return failed(error, seen)
    }
  }

  async #rowsOfVictim(): Promise<number> {
    const { rows } = await this.#scratch.controlAdmin.query<{ n: number }>(
      'select count(*)::int as n from note where tenant_id = $1',
      [this.#scratch.b],
    )
    return rows[0]?.n ?? 0
  }

  /** Takes back what the payload changed outside its session, so that each payload starts from the same place. */
  async #renew(payload: Payload): Promise<void> {
    await this.#reopen()
    const { controlAdmin, controlLogin } = this.#scratch
    if (payload.family === 'own role') await controlAdmin.query(`alter role ${controlLogin} reset all`)
  }

  async #reopen(): Promise<void> {
    await this.#pool.end()
    this.#pool = openPool(this.#scratch.controlUrl)
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 1, statement_timeout: 2_000, lock_timeout: 500 })
  pool.on('error', () => {})
  return pool
}

async function asTenant<T>(pool: pg.Pool, id: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(`select set_config('app.tenant_id', $1, true)`, [id])
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  } finally {
    client.release()
  }
}

function probe(pool: pg.Pool, id: string): Promise<Found> {
  return asTenant(pool, id, async (client) => (await client.query<{ found: Found }>(PROBE)).rows[0]?.found as Found)
}
