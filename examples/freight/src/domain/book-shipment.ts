import type { ScopedDb, Transaction } from 'rowhouse'
import type { Company } from './company.ts'
import { InputError } from './input-error.ts'
import { takeNumber } from './numbering.ts'
import type { ShipmentOrder } from './shipment-order.ts'

/** Days from booking to arrival promised to the customer, by mode. */
const TRANSIT_DAYS = { sea: 28, air: 5, road: 8 } as const

interface OrderFacts {
  readonly branchId: string | null
  readonly customerId: string | null
  readonly origin: string | null
  readonly destination: string | null
  readonly perKg: string | null
}

/**
 * Books a shipment: number in the tenant's format, price by the tenant's rates, first tracking event; all or nothing.
 *
 * @throws {InputError} when a code names nothing of this tenant, or no rate fits and no price was given
 * @throws {IsolationError} `ERR_ISOLATION_FOREIGN_ROW` when the branch is not one the visitor may write to
 */
export async function bookShipment(
  db: ScopedDb,
  company: Company,
  order: ShipmentOrder,
): Promise<{ id: string; number: string }> {
  return db.transaction(async (tx) => {
    const facts = await readFacts(tx, order)
    const year = new Date().getUTCFullYear()
    const number = await takeNumber(tx, 'shipment', company.formats.shipment, { year, branch: order.branch })
    const awb =
      order.mode === 'air' ? await takeNumber(tx, 'awb', company.formats.awb, { year, branch: order.branch }) : null
    const { id } = await tx.one<{ id: string }>(
      `insert into shipment (unit_id, number, customer_id, mode, status, origin, destination, awb, goods, packages,
                             weight_kg, freight, eta)
       values ($1, $2, $3, $4, 'booked', $5, $6, $7, $8, $9, $10, $11, current_date + $12::int)
       returning id`,
      [
        facts.branchId,
        number,
        facts.customerId,
        order.mode,
        order.origin,
        order.destination,
        awb,
        order.goods,
        order.packages,
        order.weightKg,
        priceOf(order, facts),
        TRANSIT_DAYS[order.mode],
      ],
    )
    await tx.query(`insert into event (unit_id, shipment_id, kind, place) values ($1, $2, 'booked', $3)`, [
      facts.branchId,
      id,
      order.origin,
    ])
    return { id, number }
  })
}

/** Codes are looked up inside the tenant: another tenant's branch or customer is as unknown as one nobody has. */
async function readFacts(tx: Transaction, order: ShipmentOrder): Promise<OrderFacts> {
  const facts = await tx.one<OrderFacts>(
    `select (select id from branch where code = $1) as "branchId",
            (select id from customer where code = $2) as "customerId",
            (select code from port where code = $3) as origin,
            (select code from port where code = $4) as destination,
            (select per_kg from rate
              where mode = $5 and ((origin = $3 and destination = $4) or (origin = $4 and destination = $3))
                and current_date between valid_from and valid_to
              order by valid_from desc limit 1) as "perKg"`,
    [order.branch, order.customer, order.origin, order.destination, order.mode],
  )
  const missing = [
    facts.branchId === null && { field: 'branch', message: 'is not a branch of this company' },
    facts.customerId === null && { field: 'customer', message: 'is not a customer of this company' },
    facts.origin === null && { field: 'origin', message: 'is not a known port' },
    facts.destination === null && { field: 'destination', message: 'is not a known port' },
    facts.perKg === null &&
      order.freight === undefined && { field: 'freight', message: 'is needed: there is no rate between these ports' },
  ].filter((fault) => fault !== false)
  if (missing.length > 0) throw new InputError(missing)
  return facts
}

function priceOf({ freight, weightKg }: ShipmentOrder, { perKg }: OrderFacts): string {
  return (freight ?? weightKg * Number(perKg)).toFixed(2)
}
