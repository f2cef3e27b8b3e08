import { Hono } from 'hono'
import type { Rowhouse } from 'rowhouse'
import { bookShipment } from '../domain/book-shipment.ts'
import { loadCompany } from '../domain/company.ts'
import { listInvoices } from '../domain/invoice-list.ts'
import { findShipmentFile } from '../domain/shipment-file.ts'
import { listShipments } from '../domain/shipment-list.ts'
import { parseShipmentOrder } from '../domain/shipment-order.ts'
import { notFound, presentError } from './problem.ts'
import { findId, readJson, readPage, readShipmentFilter } from './request-input.ts'
import { readSealedFacts } from './sealed-facts.ts'
import type { FreightEnv } from './visitor.ts'

/** The HTTP API. No route takes a tenant: whose data it is was decided before any of this runs. */
export function createApi(rowhouse: Rowhouse): Hono<FreightEnv> {
  const api = new Hono<FreightEnv>()
  const { db } = rowhouse
  api.onError((error, c) => presentError(c, error))
  api.notFound(notFound)
  api.use(async (c, next) => {
    await next()
    c.header('cache-control', 'no-store')
  })

  api.get('/me', async (c) => {
    const visitor = c.get('visitor')
    const [company, sealed] = await Promise.all([loadCompany(db), readSealedFacts(db)])
    const person = visitor.kind === 'person' ? { name: visitor.person.name, role: visitor.person.role } : undefined
    return c.json({ tenant: rowhouse.currentTenant().slug, company: company.name, person, ...sealed })
  })
  api.get('/shipments', async (c) => c.json(await listShipments(db, readShipmentFilter(c))))
  api.get('/shipments/:id', async (c) => {
    const id = findId(c)
    const file = id === undefined ? undefined : await findShipmentFile(db, id)
    return file === undefined ? notFound(c) : c.json(file)
  })
  api.post('/shipments', async (c) => {
    const order = parseShipmentOrder(await readJson(c))
    const booked = await bookShipment(db, await loadCompany(db), order)
    return c.json(booked, 201, { location: `/api/shipments/${booked.id}` })
  })
  api.get('/invoices', async (c) => c.json(await listInvoices(db, readPage(c))))
  return api
}
