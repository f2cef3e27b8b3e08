import type { ScopedDb } from 'rowhouse'

export const SHIPMENT_STATUSES = ['booked', 'in_transit', 'customs', 'delivered', 'cancelled'] as const
export type ShipmentStatus = (typeof SHIPMENT_STATUSES)[number]

export interface ShipmentFilter {
  readonly status?: ShipmentStatus | undefined
  /** Part of a number or the beginning of a customer's name. */
  readonly search?: string | undefined
  /** From 1. */
  readonly page: number
}

export interface ShipmentSummary {
  readonly id: string
  readonly number: string
  readonly status: ShipmentStatus
  readonly mode: 'sea' | 'air' | 'road'
  readonly customer: string
  readonly branch: string
  readonly origin: string
  readonly destination: string
  readonly weightKg: number
  readonly eta: string
  readonly createdAt: Date
}

export interface ShipmentPage {
  readonly shipments: readonly ShipmentSummary[]
  readonly page: number
  readonly pages: number
  readonly total: number
}

const PAGE_SIZE = 25

/** Pages beyond this would make the database walk ten thousand rows to show 25: search instead. */
export const MAX_PAGE = 400

/** Finds the rows of a page first and joins names to those only. No condition names a tenant or a branch: the database adds both. */
const PLAIN_PAGE = `
  select * from shipment where ($1::text is null or status = $1)
  order by created_at desc, id desc limit ${PAGE_SIZE} offset $2`

const SEARCHED = `
  from shipment s join customer c on c.tenant_id = s.tenant_id and c.id = s.customer_id
  where ($1::text is null or s.status = $1)
    and (strpos(lower(s.number), lower($2)) > 0 or starts_with(lower(c.name), lower($2)))`

const SEARCHED_PAGE = `
  select s.* ${SEARCHED} order by s.created_at desc, s.id desc limit ${PAGE_SIZE} offset $3`

/** Lists shipments, newest first: those of the running tenant and of its branches the visitor may see. */
export async function listShipments(db: ScopedDb, filter: ShipmentFilter): Promise<ShipmentPage> {
  const { status = null, search, page } = filter
  const offset = (page - 1) * PAGE_SIZE
  const [pageSql, values, countSql] =
    search === undefined
      ? [PLAIN_PAGE, [status], 'from shipment where $1::text is null or status = $1']
      : [SEARCHED_PAGE, [status, search], SEARCHED]
  const [shipments, { total }] = await Promise.all([
    db.many<ShipmentSummary>(withNames(pageSql), [...values, offset]),
    db.one<{ total: number }>(`select count(*)::int as total ${countSql}`, values),
  ])
  return { shipments, page, total, pages: Math.min(MAX_PAGE, Math.max(1, Math.ceil(total / PAGE_SIZE))) }
}

function withNames(pageSql: string): string {
  return `
    select s.id, s.number, s.status, s.mode, c.name as customer, b.name as branch, o.name as origin,
           d.name as destination, s.weight_kg as "weightKg", s.eta::text as eta, s.created_at as "createdAt"
    from (${pageSql}) s
    join customer c on c.tenant_id = s.tenant_id and c.id = s.customer_id
    join branch b on b.tenant_id = s.tenant_id and b.id = s.unit_id
    join port o on o.code = s.origin join port d on d.code = s.destination
    order by s.created_at desc, s.id desc`
}
