import { runWithTenantContext, type TenantContext } from '../context/tenant-context.ts'
import type { TenantGate } from '../resolve/gate.ts'
import { factsFromNode, type NodeRequest } from '../resolve/request-facts.ts'
import { type AdapterOptions, type Refusal, refuse } from './refusal.ts'

/** The part of Node's ServerResponse that is used. */
interface NodeResponse {
  readonly headersSent: boolean
  writeHead(status: number, headers: Record<string, string>): { end(body: string): unknown }
}

/** Middleware as Express, Connect and Nest know it. */
export type TenantMiddleware = (request: NodeRequest, response: NodeResponse, next: () => void) => Promise<void>

/**
 * Runs everything after it as the tenant of the request, or refuses the request.
 *
 * Put it before whatever reads tenant data; routes, error handlers and body parsers after it keep the tenant. A
 * listener on `request` or `response` runs as whoever emits, outside of any tenant: bind it with `AsyncResource.bind`.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { createRowhouse, fromSubdomain } from 'rowhouse'
 * import { tenantFromRequest } from 'rowhouse/express'
 * const sources = [fromSubdomain({ base: 'example.com' })]
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, sources })
 * const app = express()
 * app.use(tenantFromRequest(rowhouse))
 * app.get('/shipments', async (_request, response) => {
 *   response.json(await rowhouse.db.many('select reference from shipment'))
 * })
 * ```
 */
export function tenantFromRequest(rowhouse: TenantGate, options: AdapterOptions = {}): TenantMiddleware {
  return async function tenantMiddleware(request, response, next) {
    const facts = factsFromNode(request)
    let context: TenantContext
    try {
      context = await rowhouse.enter(facts)
    } catch (error) {
      return answer(response, refuse(rowhouse, error, facts, options))
    }
    runWithTenantContext(context, () => next())
  }
}

function answer(response: NodeResponse, { status, headers, body }: Refusal): void {
  // A timeout before this middleware may have answered while the tenant was looked up.
  if (!response.headersSent) response.writeHead(status, headers).end(body)
}
