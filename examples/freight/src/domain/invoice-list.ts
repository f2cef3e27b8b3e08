import type { ScopedDb } from 'rowhouse'

export interface InvoiceSummary {
  readonly id: string
  readonly number: string
  readonly status: 'open' | 'paid' | 'overdue'
  readonly customer: string
  readonly branch: string
  readonly shipmentId: string
  readonly shipment: string
  readonly currency: string
  readonly net: string
  readonly vat: string
  readonly total: string
  readonly dueOn: string
  readonly issuedAt: Date
}

export interface InvoicePage {
  readonly invoices: readonly InvoiceSummary[]
  readonly page: number
  readonly pages: number
  readonly total: number
}

const PAGE_SIZE = 25
const MAX_PAGES = 400

/** Lists invoices, newest first. @param page  from 1 */
export async function listInvoices(db: ScopedDb, page: number): Promise<InvoicePage> {
  const [invoices, { total }] = await Promise.all([
    db.many<InvoiceSummary>(
      `select i.id, i.number, i.status, c.name as customer, b.name as branch, i.currency, i.net, i.vat, i.total,
              i.due_on::text as "dueOn", i.issued_at as "issuedAt", s.id as "shipmentId", s.number as shipment
       from (select * from invoice order by issued_at desc, id desc limit ${PAGE_SIZE} offset $1) i
       join customer c on c.tenant_id = i.tenant_id and c.id = i.customer_id
       join branch b on b.tenant_id = i.tenant_id and b.id = i.unit_id
       join shipment s on s.tenant_id = i.tenant_id and s.id = i.shipment_id
       order by i.issued_at desc, i.id desc`,
      [(page - 1) * PAGE_SIZE],
    ),
    db.one<{ total: number }>('select count(*)::int as total from invoice'),
  ])
  return { invoices, page, total, pages: Math.min(MAX_PAGES, Math.max(1, Math.ceil(total / PAGE_SIZE))) }
}
