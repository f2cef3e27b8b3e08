import type { ScopedDb } from 'rowhouse'
import type { ShipmentSummary } from './shipment-list.ts'

/** A shipment with everything that hangs on it. */
export interface ShipmentFile {
  readonly shipment: ShipmentSummary & {
    readonly awb: string | null
    readonly goods: string
    readonly packages: number
    readonly freight: string
    readonly quote: string | null
    readonly createdBy: string | null
  }
  readonly legs: readonly Leg[]
  readonly events: readonly { kind: string; place: string; at: Date; actor: string | null }[]
  readonly containers: readonly { number: string; kind: string; sealNumber: string; grossKg: number }[]
  readonly documents: readonly { kind: string; number: string; issuedAt: Date }[]
  readonly invoice: InvoiceFile | undefined
}

interface Leg {
  readonly mode: string
  readonly origin: string
  readonly destination: string
  readonly carrier: string
  readonly departsAt: Date
  readonly arrivesAt: Date
}

export interface InvoiceFile {
  readonly id: string
  readonly number: string
  readonly status: 'open' | 'paid' | 'overdue'
  readonly currency: string
  readonly net: string
  readonly vatRate: string
  readonly vat: string
  readonly total: string
  readonly dueOn: string
  readonly lines: readonly { description: string; net: number }[]
}

/**
 * Finds a shipment by its id.
 *
 * @returns undefined when there is none, and just the same when it is another tenant's or another branch's
 */
export async function findShipmentFile(db: ScopedDb, id: string): Promise<ShipmentFile | undefined> {
  const [shipment, legs, events, containers, documents, invoice] = await Promise.all([
    db.maybeOne<ShipmentFile['shipment']>(
      `select s.id, s.number, s.status, s.mode, s.awb, s.goods, s.packages, s.freight, s.created_by as "createdBy",
              s.weight_kg as "weightKg", s.eta::text as eta, s.created_at as "createdAt", q.number as quote,
              c.name as customer, b.name as branch, o.name as origin, d.name as destination
       from shipment s
       join customer c on c.tenant_id = s.tenant_id and c.id = s.customer_id
       join branch b on b.tenant_id = s.tenant_id and b.id = s.unit_id
       join port o on o.code = s.origin join port d on d.code = s.destination
       left join quote q on q.tenant_id = s.tenant_id and q.id = s.quote_id
       where s.id = $1`,
      [id],
    ),
    db.many<Leg>(
      `select l.mode, l.carrier, o.name as origin, d.name as destination,
              l.departs_at as "departsAt", l.arrives_at as "arrivesAt"
       from leg l join port o on o.code = l.origin join port d on d.code = l.destination
       ${OF_SHIPMENT} order by l.position`,
      [id],
    ),
    db.many<ShipmentFile['events'][number]>(
      `select l.kind, coalesce(p.name, l.place) as place, l.at, l.actor
       from event l left join port p on p.code = l.place ${OF_SHIPMENT} order by l.at, l.id`,
      [id],
    ),
    db.many<ShipmentFile['containers'][number]>(
      `select l.number, l.kind, l.seal_number as "sealNumber", l.gross_kg as "grossKg"
       from container l ${OF_SHIPMENT} order by l.number`,
      [id],
    ),
    db.many<ShipmentFile['documents'][number]>(
      `select l.kind, l.number, l.issued_at as "issuedAt" from document l ${OF_SHIPMENT} order by l.issued_at, l.kind`,
      [id],
    ),
    findInvoice(db, id),
  ])
  return shipment === undefined ? undefined : { shipment, legs, events, containers, documents, invoice }
}

/** The branch is looked up with the shipment, because the children's index starts with tenant and branch. */
const OF_SHIPMENT = 'where l.unit_id = (select unit_id from shipment where id = $1) and l.shipment_id = $1'

async function findInvoice(db: ScopedDb, shipmentId: string): Promise<InvoiceFile | undefined> {
  return db.maybeOne<InvoiceFile>(
    `select l.id, l.number, l.status, l.currency, l.net, l.vat_rate as "vatRate", l.vat, l.total, l.due_on::text as "dueOn",
            coalesce((select jsonb_agg(jsonb_build_object('description', i.description, 'net', i.net) order by i.position)
                      from invoice_line i where i.unit_id = l.unit_id and i.invoice_id = l.id), '[]') as lines
     from invoice l ${OF_SHIPMENT} order by l.issued_at desc limit 1`,
    [shipmentId],
  )
}
