/** What hangs on a shipment: legs, tracking events, containers, papers and the invoice. */

import { isoDate } from './iso-date.ts'
import type { TenantProfile } from './profiles.ts'
import type { Random } from './random.ts'
import { RowBatch } from './row-batch.ts'
import { DAY_MS, type Mode, type ShipmentPlan } from './shipment-plan.ts'

const CARRIERS: Readonly<Record<Mode, readonly string[]>> = {
  sea: ['Blue Meridian Line', 'Tradewind Lines', 'Harbour Star'],
  air: ['Skyfold Air Cargo', 'Polar Crane Air', 'Desert Swift Air'],
  road: ['Longroad Haulage', 'Crossline Trucking'],
}

/** Where goods change ships. */
const HUBS = ['SGSIN', 'LKCMB', 'EGPSD', 'AEJEA']

const CONTAINER_OWNERS = ['RWHU', 'FRGU', 'SEAU']
const PAYMENT_DAYS = 30

/** What details depend on besides their shipment. */
export interface DetailRequest {
  readonly profile: TenantProfile
  readonly random: Random
  readonly asOfMs: number
}

export function createDetailBatches() {
  const child = { id: 'uuid', unit_id: 'uuid' }
  return {
    legs: new RowBatch('leg', {
      ...child,
      shipment_id: 'uuid',
      position: 'smallint',
      mode: 'text',
      origin: 'text',
      destination: 'text',
      carrier: 'text',
      departs_at: 'timestamptz',
      arrives_at: 'timestamptz',
    }),
    events: new RowBatch('event', {
      ...child,
      shipment_id: 'uuid',
      kind: 'text',
      place: 'text',
      at: 'timestamptz',
      actor: 'text',
    }),
    containers: new RowBatch('container', {
      ...child,
      shipment_id: 'uuid',
      number: 'text',
      kind: 'text',
      seal_number: 'text',
      gross_kg: 'integer',
    }),
    documents: new RowBatch('document', {
      ...child,
      shipment_id: 'uuid',
      kind: 'text',
      number: 'text',
      issued_at: 'timestamptz',
    }),
    invoices: new RowBatch('invoice', {
      ...child,
      shipment_id: 'uuid',
      customer_id: 'uuid',
      number: 'text',
      status: 'text',
      currency: 'text',
      net: 'numeric',
      vat_rate: 'numeric',
      issued_at: 'timestamptz',
      due_on: 'date',
    }),
    lines: new RowBatch('invoice_line', {
      ...child,
      invoice_id: 'uuid',
      position: 'smallint',
      description: 'text',
      net: 'numeric',
    }),
  }
}

type DetailBatches = ReturnType<typeof createDetailBatches>

export function addShipmentDetails(
  batches: DetailBatches,
  plan: ShipmentPlan,
  awb: string | null,
  takeInvoiceNumber: () => string,
  { profile, random, asOfMs }: DetailRequest,
): void {
  const stops = chooseStops(plan, random)
  addLegs(batches.legs, plan, stops, random)
  addEvents(batches.events, plan, stops, random)
  if (plan.mode === 'sea') addContainer(batches.containers, plan, random)
  addDocuments(batches.documents, plan, awb, random)
  if (plan.status === 'booked' || plan.status === 'cancelled') return
  addInvoice(batches, plan, takeInvoiceNumber(), profile, asOfMs, random)
}

function chooseStops(plan: ShipmentPlan, random: Random): string[] {
  const hubs = HUBS.filter((hub) => hub !== plan.origin && hub !== plan.destination)
  const between = plan.mode !== 'road' && random.chance(0.5) ? [random.pick(hubs)] : []
  return [plan.origin, ...between, plan.destination]
}

function addLegs(legs: DetailBatches['legs'], plan: ShipmentPlan, stops: readonly string[], random: Random): void {
  const legMs = (plan.arriveMs - plan.departMs) / (stops.length - 1)
  for (let position = 1; position < stops.length; position += 1) {
    const departsMs = plan.departMs + legMs * (position - 1)
    legs.add({
      id: random.uuid(plan.createdMs),
      unit_id: plan.branch.id,
      shipment_id: plan.id,
      position,
      mode: plan.mode,
      origin: stops[position - 1] ?? plan.origin,
      destination: stops[position] ?? plan.destination,
      carrier: random.pick(CARRIERS[plan.mode]),
      departs_at: iso(departsMs),
      // One hour of rounding aside, a leg ends where the next begins; it must not take no time at all.
      arrives_at: iso(departsMs + Math.max(legMs * 0.9, 3_600_000)),
    })
  }
}

function addEvents(
  events: DetailBatches['events'],
  plan: ShipmentPlan,
  stops: readonly string[],
  random: Random,
): void {
  const happened: [kind: string, place: string, ms: number][] = [['booked', plan.branch.port, plan.createdMs]]
  const hub = stops.length > 2 ? stops[1] : undefined
  const middleMs = (plan.departMs + plan.arriveMs) / 2
  if (plan.status === 'cancelled') happened.push(['cancelled', plan.branch.port, plan.createdMs + DAY_MS])
  if (['in_transit', 'customs', 'delivered'].includes(plan.status))
    happened.push(['departed', plan.origin, plan.departMs])
  if (['customs', 'delivered'].includes(plan.status)) {
    if (hub !== undefined) happened.push(['arrived', hub, middleMs - 1], ['departed', hub, middleMs])
    happened.push(['arrived', plan.destination, plan.arriveMs], ['customs', plan.destination, plan.arriveMs + 1])
  }
  if (plan.status === 'delivered') happened.push(['delivered', plan.destination, plan.arriveMs + DAY_MS / 4])
  for (const [kind, place, ms] of happened) {
    events.add({
      id: random.uuid(ms),
      unit_id: plan.branch.id,
      shipment_id: plan.id,
      kind,
      place,
      at: iso(ms),
      actor: 'seed',
    })
  }
}

function addContainer(containers: DetailBatches['containers'], plan: ShipmentPlan, random: Random): void {
  const digits = String(random.between(1_000_000, 9_999_999))
  containers.add({
    id: random.uuid(plan.createdMs),
    unit_id: plan.branch.id,
    shipment_id: plan.id,
    number: `${random.pick(CONTAINER_OWNERS)}${digits}`,
    kind: random.pick(['20GP', '40GP', '40HC', '40RF']),
    seal_number: `S${random.between(100_000, 999_999)}`,
    gross_kg: plan.weightKg + 2_200,
  })
}

function addDocuments(
  documents: DetailBatches['documents'],
  plan: ShipmentPlan,
  awb: string | null,
  random: Random,
): void {
  const serial = random.between(100_000, 999_999)
  const carriage = awb === null ? (['bill of lading', `BL${serial}`] as const) : (['air waybill', awb] as const)
  const papers: (readonly [kind: string, number: string, ms: number])[] = [
    [...carriage, plan.createdMs + 1],
    ['packing list', `PL${serial}`, plan.createdMs],
  ]
  if (plan.status === 'customs' || plan.status === 'delivered') {
    papers.push(['customs declaration', `CD${serial}`, plan.arriveMs])
  }
  for (const [kind, number, ms] of papers) {
    documents.add({
      id: random.uuid(plan.createdMs),
      unit_id: plan.branch.id,
      shipment_id: plan.id,
      kind,
      number,
      issued_at: iso(ms),
    })
  }
}

function addInvoice(
  { invoices, lines }: DetailBatches,
  plan: ShipmentPlan,
  number: string,
  { currency, vatRate }: TenantProfile,
  asOfMs: number,
  random: Random,
): void {
  const id = random.uuid(plan.createdMs)
  const dueMs = plan.createdMs + PAYMENT_DAYS * DAY_MS
  const unpaid = dueMs > asOfMs ? 'open' : 'overdue'
  const owner = { unit_id: plan.branch.id }
  invoices.add({
    id,
    ...owner,
    shipment_id: plan.id,
    customer_id: plan.customerId,
    number,
    status: random.chance(unpaid === 'open' ? 0.3 : 0.85) ? 'paid' : unpaid,
    currency,
    net: plan.freight,
    vat_rate: vatRate,
    issued_at: iso(plan.createdMs),
    due_on: isoDate(dueMs),
  })
  const handling = Math.round(plan.freight * 12) / 100
  const parts: [string, number][] = [
    [`${plan.mode === 'air' ? 'Air' : plan.mode === 'sea' ? 'Ocean' : 'Road'} freight`, plan.freight - handling],
    ['Handling and documents', handling],
  ]
  parts.forEach(([description, net], index) => {
    const line = { invoice_id: id, position: index + 1, description, net: net.toFixed(2) }
    lines.add({ id: random.uuid(plan.createdMs), ...owner, ...line })
  })
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
