import { randomUUID } from 'node:crypto'
import type { Rowhouse } from 'rowhouse'

/** What a tenant's application wrote while it was being moved, and what became of it. */
export interface History {
  /** Stops writing, and compares what is there with what was acknowledged. */
  stop(): Promise<Verdict>
}

export interface Verdict {
  readonly acknowledged: number
  /** Acknowledged and not there. */
  readonly lost: readonly string[]
  /** There twice. */
  readonly duplicated: readonly string[]
  /** There with another value than the last one acknowledged, where nothing is unknown after it. */
  readonly stale: readonly string[]
  /** Codes of writes that failed; whether those happened is unknown. */
  readonly failures: readonly string[]
}

const WRITERS = 4

/** Inserts and updates rows of its own, one after the other, in each of a few writers, until it is stopped. */
export function writeAlong(app: Rowhouse, slug: string): History {
  let running = true
  const last = new Map<string, { value: number; certain: boolean }>()
  const failures: string[] = []
  let acknowledged = 0
  const attempt = async (reference: string, value: number, write: () => Promise<unknown>) => {
    try {
      await write()
      acknowledged += 1
      last.set(reference, { value, certain: true })
    } catch (error) {
      failures.push(String((error as { code?: unknown }).code))
      const known = last.get(reference)
      if (known !== undefined) known.certain = false
    }
  }
  const writer = async (text: string) => {
    while (running) {
      const reference = `${text}${randomUUID()}`
      await attempt(reference, 0, () =>
        app.withTenant(slug, (db) =>
          db.query(`${text}insert into shipment (reference, weight) values ($1, 0)`, [reference]),
        ),
      )
      if (!last.has(reference)) continue
      await attempt(reference, 1, () =>
        app.withTenant(slug, (db) =>
          db.transaction(async (tx) => {
            await tx.query('select from shipment where reference = $1 for update', [reference])
            await tx.query('update shipment set weight = weight + 1 where reference = $1', [reference])
          }),
        ),
      )
    }
  }
  const writers = Promise.all(Array.from({ length: WRITERS }, (_, n) => writer(n % 2 === 0 ? '' : '/* pooled */ ')))
  return {
    stop: async () => {
      running = false
      await writers
      const rows = await app.withTenant(slug, (db) =>
        db.many<{ reference: string; weight: number; n: number }>(
          'select reference, max(weight)::int as weight, count(*)::int as n from shipment group by 1',
        ),
      )
      const there = new Map(rows.map((row) => [row.reference, row]))
      return {
        acknowledged,
        lost: [...last.keys()].filter((reference) => !there.has(reference)),
        duplicated: rows.filter(({ n }) => n > 1).map(({ reference }) => reference),
        stale: [...last]
          .filter(([reference, { value, certain }]) => certain && there.get(reference)?.weight !== value)
          .map(([reference]) => reference),
        failures,
      }
    },
  }
}
