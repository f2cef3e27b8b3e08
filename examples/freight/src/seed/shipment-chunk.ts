/** Some thousand shipments of one tenant with everything that hangs on them, ready to be written in one transaction. */

import type { Transaction } from 'rowhouse'
import { formatNumber, type NumberKind, periodOf } from '../domain/numbering.ts'
import type { CompanyBase } from './company-base.ts'
import { isoDate } from './iso-date.ts'
import type { TenantProfile } from './profiles.ts'
import type { Random } from './random.ts'
import { RowBatch } from './row-batch.ts'
import { addShipmentDetails, createDetailBatches } from './shipment-details.ts'
import { DAY_MS, planShipment, type ShipmentPlan } from './shipment-plan.ts'

export interface ChunkRequest {
  readonly profile: TenantProfile
  readonly base: CompanyBase
  readonly asOfMs: number
  /** Index of the first shipment, of the first after the chunk, and how many the tenant will have. */
  readonly from: number
  readonly to: number
  readonly total: number
  readonly random: Random
  readonly counters: Counters
}

/** How far back the oldest shipment lies. */
const HISTORY_DAYS = 365

/** Legs, events, papers and invoices are made for the newest shipments only, as an archive would keep them. */
const DETAILED_SHARE = 0.15
const MIN_DETAILED = 300

/** Numbers given out so far, by kind and period, as the table `counter` holds them. */
export class Counters {
  readonly #values = new Map<string, { kind: NumberKind; period: string; value: number }>()

  static async load(tx: Transaction): Promise<Counters> {
    const counters = new Counters()
    const rows = await tx.many<{ kind: NumberKind; period: string; value: string }>(
      'select kind, period, value from counter for update',
    )
    for (const { kind, period, value } of rows)
      counters.#values.set(`${kind} ${period}`, { kind, period, value: Number(value) })
    return counters
  }

  take(kind: NumberKind, period: string): number {
    const key = `${kind} ${period}`
    const counter = this.#values.get(key) ?? { kind, period, value: 0 }
    counter.value += 1
    this.#values.set(key, counter)
    return counter.value
  }

  async save(tx: Transaction): Promise<void> {
    const all = [...this.#values.values()]
    await tx.query(
      `insert into counter (kind, period, value) select * from unnest($1::text[], $2::text[], $3::bigint[])
       on conflict (tenant_id, kind, period) do update set value = excluded.value`,
      [all.map(({ kind }) => kind), all.map(({ period }) => period), all.map(({ value }) => value)],
    )
  }
}

/** Writes a chunk inside `tx`. Returns how many rows it wrote in all tables. */
export async function insertShipmentChunk(tx: Transaction, request: ChunkRequest): Promise<number> {
  const { from, to, total, asOfMs, base, random } = request
  const quotes = createQuotes()
  const shipments = createShipments()
  const details = createDetailBatches()
  const detailedFrom = total - Math.max(MIN_DETAILED, Math.floor(total * DETAILED_SHARE))
  const stepMs = (HISTORY_DAYS * DAY_MS) / total
  for (let index = from; index < to; index += 1) {
    const createdMs = asOfMs - HISTORY_DAYS * DAY_MS + stepMs * (index + random.fraction() * 0.9)
    const plan = planShipment(base, createdMs, asOfMs, random)
    const quoteId = addQuotes(quotes, plan, request)
    const number = numberFor('shipment', plan, request)
    const awb = plan.mode === 'air' ? numberFor('awb', plan, request) : null
    shipments.add({ ...shipmentRow(plan), number, awb, quote_id: quoteId })
    if (index >= detailedFrom)
      addShipmentDetails(details, plan, awb, () => numberFor('invoice', plan, request), request)
  }
  const batches = [quotes, shipments, ...Object.values(details)]
  for (const batch of batches) await batch.insert(tx)
  await request.counters.save(tx)
  return batches.reduce((sum, batch) => sum + batch.size, 0)
}

function numberFor(kind: NumberKind, plan: ShipmentPlan, { profile, counters }: ChunkRequest): string {
  const year = new Date(plan.createdMs).getUTCFullYear()
  const format = profile.formats[kind]
  return formatNumber(format, { sequence: counters.take(kind, periodOf(format, year)), year, branch: plan.branch.code })
}

/** Six in a hundred shipments were quoted before; four more quotes in a hundred led to nothing, or not yet. */
function addQuotes(quotes: ReturnType<typeof createQuotes>, plan: ShipmentPlan, request: ChunkRequest): string | null {
  const { random, asOfMs } = request
  const kind = random.pickWeighted([
    ['none', 90],
    ['won', 6],
    ['other', 4],
  ] as const)
  if (kind === 'none') return null
  const id = random.uuid(plan.createdMs)
  const validMs = plan.createdMs + 14 * DAY_MS
  const undecided = validMs > asOfMs ? 'open' : 'expired'
  quotes.add({
    id,
    unit_id: plan.branch.id,
    number: numberFor('quote', plan, request),
    customer_id: plan.customerId,
    mode: plan.mode,
    origin: plan.origin,
    destination: plan.destination,
    amount: plan.freight,
    status: kind === 'won' ? 'won' : random.pick([undecided, 'lost']),
    valid_until: isoDate(validMs),
    created_at: new Date(plan.createdMs - DAY_MS).toISOString(),
  })
  return kind === 'won' ? id : null
}

function shipmentRow(plan: ShipmentPlan) {
  return {
    id: plan.id,
    unit_id: plan.branch.id,
    customer_id: plan.customerId,
    mode: plan.mode,
    status: plan.status,
    origin: plan.origin,
    destination: plan.destination,
    goods: plan.goods,
    packages: plan.packages,
    weight_kg: plan.weightKg,
    freight: plan.freight,
    eta: isoDate(plan.arriveMs),
    created_at: new Date(plan.createdMs).toISOString(),
    created_by: 'seed',
  }
}

function createQuotes() {
  return new RowBatch('quote', {
    id: 'uuid',
    unit_id: 'uuid',
    number: 'text',
    customer_id: 'uuid',
    mode: 'text',
    origin: 'text',
    destination: 'text',
    amount: 'numeric',
    status: 'text',
    valid_until: 'date',
    created_at: 'timestamptz',
  })
}

function createShipments() {
  return new RowBatch('shipment', {
    id: 'uuid',
    unit_id: 'uuid',
    number: 'text',
    customer_id: 'uuid',
    quote_id: 'uuid',
    mode: 'text',
    status: 'text',
    origin: 'text',
    destination: 'text',
    awb: 'text',
    goods: 'text',
    packages: 'integer',
    weight_kg: 'integer',
    freight: 'numeric',
    eta: 'date',
    created_at: 'timestamptz',
    created_by: 'text',
  })
}
