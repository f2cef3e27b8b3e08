import { type Context, Hono } from 'hono'
import type { Child } from 'hono/jsx'
import type { Rowhouse } from 'rowhouse'
import { loadCompany } from '../domain/company.ts'
import { loadDashboard } from '../domain/dashboard.ts'
import { InputError } from '../domain/input-error.ts'
import { listInvoices } from '../domain/invoice-list.ts'
import { listPeople } from '../domain/people.ts'
import { findShipmentFile } from '../domain/shipment-file.ts'
import { listShipments } from '../domain/shipment-list.ts'
import { findId, readPage, readShipmentFilter } from './request-input.ts'
import { readSealedFacts } from './sealed-facts.ts'
import { DashboardPage } from './views/dashboard.tsx'
import { InvoicesPage } from './views/invoices.tsx'
import { type Frame, Layout } from './views/layout.tsx'
import { Message } from './views/parts.tsx'
import { ShipmentFilePage } from './views/shipment.tsx'
import { ShipmentsPage } from './views/shipments.tsx'
import type { FreightEnv } from './visitor.ts'

/** How a page is put into the frame of its tenant: loads the frame, then renders. */
export type ShowPage = (
  c: Context<FreightEnv>,
  title: string,
  content: Child,
  status?: 200 | 400 | 404,
) => Promise<Response>

export function createShowPage(rowhouse: Rowhouse, hasLab: boolean): ShowPage {
  const { db } = rowhouse
  return async (c, title, content, status = 200) => {
    const visitor = c.get('visitor')
    const [company, people, sealed] = await Promise.all([loadCompany(db), listPeople(db), readSealedFacts(db)])
    const frame: Frame = {
      slug: rowhouse.currentTenant().slug,
      company,
      person: visitor.kind === 'person' ? visitor.person : undefined,
      people,
      sealed,
      path: c.req.path,
      hasLab,
      tookMs: performance.now() - c.get('startedMs'),
    }
    c.header('cache-control', 'no-store')
    return c.html(
      <Layout frame={frame} title={title}>
        {content}
      </Layout>,
      status,
    )
  }
}

/** The pages of a tenant. The same routes for all; name, colour, money and numbers come from the tenant's settings. */
export function createPages(rowhouse: Rowhouse, show: ShowPage): Hono<FreightEnv> {
  const pages = new Hono<FreightEnv>()
  const { db } = rowhouse
  const missing = (c: Context<FreightEnv>) =>
    show(c, 'Not found', <Message title="There is no such thing here">The address may be mistyped.</Message>, 404)

  pages.get('/', async (c) => {
    const [company, figures, newest] = await Promise.all([
      loadCompany(db),
      loadDashboard(db),
      listShipments(db, { page: 1 }),
    ])
    const content = <DashboardPage company={company} figures={figures} newest={newest.shipments.slice(0, 8)} />
    return show(c, 'Dashboard', content)
  })
  pages.get('/shipments', async (c) => {
    const filter = readShipmentFilter(c)
    return show(c, 'Shipments', <ShipmentsPage list={await listShipments(db, filter)} filter={filter} />)
  })
  pages.get('/shipments/:id', async (c) => {
    const id = findId(c)
    const [file, company] = await Promise.all([
      id === undefined ? undefined : findShipmentFile(db, id),
      loadCompany(db),
    ])
    if (file === undefined) return missing(c)
    return show(c, file.shipment.number, <ShipmentFilePage file={file} currency={company.currency} />)
  })
  pages.get('/invoices', async (c) => show(c, 'Invoices', <InvoicesPage list={await listInvoices(db, readPage(c))} />))
  pages.get('*', missing)
  pages.onError((error, c) => {
    if (!(error instanceof InputError)) throw error
    return show(c, 'Not possible', <Message title="That does not work">{error.message}</Message>, 400)
  })
  return pages
}
