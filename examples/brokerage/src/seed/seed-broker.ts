import type { Rowhouse } from 'rowhouse'
import { importBook } from '../domain/book-import.ts'
import { loadBroker } from '../domain/broker.ts'
import { addDays } from '../domain/iso-date.ts'
import { makeQuote } from '../domain/quotes.ts'
import { makeBook } from './make-book.ts'
import { Random } from './random.ts'

export interface SeedRequest {
  /** Slug of a broker that exists. */
  readonly broker: string
  readonly clients: number
  readonly asOf: string
}

const QUOTES = 12

/**
 * Fills a broker with an invented book of business, through what the product itself has: the import and the quotes.
 * A broker who has policies is left alone. Returns how many were written.
 */
export async function seedBroker(rowhouse: Rowhouse, { broker, clients, asOf }: SeedRequest): Promise<number> {
  return rowhouse.withTenant({ tenant: broker, actor: 'seed' }, async (db) => {
    // Another day gives another book: who has one keeps it.
    if ((await db.maybeOne('select id from policy limit 1')) !== undefined) return 0
    const { policies } = await importBook(db, makeBook({ seed: broker, clients, asOf }))
    // Insurers pay in the month after; one in twelve is late.
    await db.query(
      `update commission m set received_on = m.month + 40 from policy p
        where p.tenant_id = m.tenant_id and p.id = m.policy_id and m.received_on is null
          and m.month < date_trunc('month', $1::date) and right(p.number, 2)::int % 12 <> 0`,
      [asOf],
    )
    const settings = await loadBroker(db)
    const random = new Random(`quotes ${broker}`)
    for (let index = 0; index < QUOTES; index += 1) {
      await makeQuote(db, settings, {
        client: `K${String(random.between(1, clients)).padStart(5, '0')}`,
        carrier: random.pick(['ALB', 'CTP', 'HRZ', 'MRD']),
        line: random.pick(['PROP', 'LIAB', 'CYBER']),
        premium: `${random.between(500, 9_000)}.00`,
        validUntil: addDays(asOf, random.between(10, 45)),
      })
    }
    return policies
  })
}
