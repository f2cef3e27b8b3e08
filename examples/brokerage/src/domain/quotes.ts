import type { ScopedDb, Transaction } from 'rowhouse'
import { findAmount } from './amount.ts'
import type { Broker } from './broker.ts'
import { InputError, type InputFault, readText } from './input-error.ts'
import { findIsoDate } from './iso-date.ts'
import { takeNumber } from './numbering.ts'
import { PAGE_SIZE } from './page.ts'

export interface Quote {
  readonly id: string
  readonly number: string
  readonly client: string
  readonly carrier: string
  readonly line: string
  readonly premium: string
  readonly status: 'open' | 'bound' | 'declined'
  readonly validUntil: string
}

export interface QuoteOrder {
  /** The broker's own number of the client. */
  readonly client: string
  readonly carrier: string
  readonly line: string
  readonly premium: string
  readonly validUntil: string
}

/** @throws {InputError} with every field that cannot be used */
export function parseQuoteOrder(value: unknown): QuoteOrder {
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  const faults: InputFault[] = []
  const order = {
    client: readText(fields.client, 'client', 40, faults),
    carrier: readText(fields.carrier, 'carrier', 3, faults),
    line: readText(fields.line, 'line', 6, faults),
    premium: findAmount(fields.premium) ?? '',
    validUntil: findIsoDate(fields.validUntil) ?? '',
  }
  if (order.premium === '') faults.push({ field: 'premium', message: 'must be an amount above 0, e.g. 1250.00' })
  if (order.validUntil === '') faults.push({ field: 'validUntil', message: 'must be a day, e.g. 2026-11-30' })
  if (faults.length > 0) throw new InputError(faults)
  return order
}

/** Lists quotes, open ones first, newest first. @param page  from 1 */
export function listQuotes(db: ScopedDb, page: number): Promise<Quote[]> {
  return db.many<Quote>(
    `select q.id, q.number, c.name as client, a.name as carrier, l.name as line, q.premium, q.status, q.valid_until::text as "validUntil"
       from quote q
       join client c on c.tenant_id = q.tenant_id and c.id = q.client_id
       join carrier a on a.code = q.carrier_code join line l on l.code = q.line_code
      order by q.status = 'open' desc, q.created_at desc, q.id desc limit ${PAGE_SIZE} offset $1`,
    [(page - 1) * PAGE_SIZE],
  )
}

/**
 * Writes an offer for a client.
 *
 * @throws {InputError} when the client, the insurer or the line does not exist
 */
export async function makeQuote(
  db: ScopedDb,
  broker: Broker,
  order: QuoteOrder,
): Promise<{ readonly id: string; readonly number: string }> {
  return db.transaction(async (tx) => {
    const known = await tx.one<{ client: string | null; carrier: boolean; line: boolean }>(
      `select (select id from client where reference = $1) as client,
              exists (select from carrier where code = $2) as carrier, exists (select from line where code = $3) as line`,
      [order.client, order.carrier, order.line],
    )
    const faults = (['client', 'carrier', 'line'] as const)
      .filter((field) => !known[field])
      .map((field) => ({ field, message: 'must be one that exists' }))
    if (faults.length > 0) throw new InputError(faults)
    const number = await takeNumber(tx, 'quote', { prefix: broker.prefix, year: new Date().getUTCFullYear() })
    return tx.one(
      `insert into quote (number, client_id, carrier_code, line_code, premium, valid_until)
       values ($1, $2, $3, $4, $5, $6) returning id, number`,
      [number, known.client, order.carrier, order.line, order.premium, order.validUntil],
    )
  })
}

interface BoundQuote {
  readonly id: string
  readonly client_id: string
  readonly carrier_code: string
  readonly line_code: string
  readonly premium: string
}

/**
 * Turns an open quote into a policy of one year, with what the insurer owes for it and its first papers.
 *
 * @returns undefined when there is no open quote of this id: bound before, or another broker's
 */
export function bindQuote(
  db: ScopedDb,
  broker: Broker,
  quoteId: string,
  startsOn: string,
): Promise<{ readonly id: string; readonly number: string } | undefined> {
  return db.transaction(async (tx) => {
    const quote = await tx.maybeOne<BoundQuote>(
      `update quote set status = 'bound' where id = $1 and status = 'open'
       returning id, client_id, carrier_code, line_code, premium`,
      [quoteId],
    )
    return quote && writePolicy(tx, broker, quote, startsOn)
  })
}

async function writePolicy(tx: Transaction, { prefix }: Broker, quote: BoundQuote, startsOn: string) {
  const number = await takeNumber(tx, 'policy', { prefix, year: Number(startsOn.slice(0, 4)) })
  const policy = await tx.one<{ id: string; number: string }>(
    `insert into policy (number, client_id, quote_id, carrier_code, line_code, premium, starts_on, ends_on)
     values ($1, $2, $3, $4, $5, $6, $7::date, ($7::date + interval '1 year')::date) returning id, number`,
    [number, quote.client_id, quote.id, quote.carrier_code, quote.line_code, quote.premium, startsOn],
  )
  await tx.query(
    `insert into commission (policy_id, carrier_code, kind, month, premium, percent)
     select p.id, p.carrier_code, 'new', date_trunc('month', p.starts_on)::date, p.premium, r.new_percent
       from policy p join commission_rate r on r.carrier_code = p.carrier_code and r.line_code = p.line_code
      where p.id = $1`,
    [policy.id],
  )
  await tx.query(
    `insert into document (policy_id, kind, name)
     select $1::uuid, kind, $2::text || ' ' || kind from unnest(array['schedule', 'certificate']) kind`,
    [policy.id, policy.number],
  )
  return policy
}
