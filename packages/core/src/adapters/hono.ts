import { runWithTenantContext, type TenantContext } from '../context/tenant-context.ts'
import type { TenantGate } from '../resolve/gate.ts'
import {
  factsFromNode,
  factsFromWeb,
  type NodeRequest,
  type RequestFacts,
  type WebRequest,
} from '../resolve/request-facts.ts'
import { type AdapterOptions, refuse } from './refusal.ts'

/** The part of Hono's context that is read. */
interface HonoContext {
  /** `@hono/node-server` puts Node's request here. */
  readonly env: unknown
  readonly req: { readonly raw: WebRequest }
}

/**
 * Runs everything after it as the tenant of the request, or refuses the request.
 *
 * With `@hono/node-server` the headers are read as they came, duplicates included, and the peer's address is known. On
 * other runtimes neither is: duplicates arrive joined and are refused, and no proxy is trusted.
 *
 * A body that is made while it is sent (`pull` of a ReadableStream) runs outside of any tenant: read the rows before, or
 * use Hono's `stream()`, whose callback keeps the tenant.
 *
 * @example
 * ```ts
 * import { Hono } from 'hono'
 * import { createRowhouse, fromSubdomain } from 'rowhouse'
 * import { tenantFromRequest } from 'rowhouse/hono'
 * const sources = [fromSubdomain({ base: 'example.com' })]
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, sources })
 * const app = new Hono()
 * app.use(tenantFromRequest(rowhouse))
 * app.get('/shipments', async (c) => c.json(await rowhouse.db.many('select reference from shipment')))
 * ```
 */
export function tenantFromRequest(rowhouse: TenantGate, options: AdapterOptions = {}) {
  return async function tenantMiddleware(c: HonoContext, next: () => Promise<void>): Promise<Response | undefined> {
    const facts = factsOf(c)
    let context: TenantContext
    try {
      context = await rowhouse.enter(facts)
    } catch (error) {
      const { status, headers, body } = refuse(rowhouse, error, facts, options)
      return new Response(body, { status, headers })
    }
    await runWithTenantContext(context, next)
    return undefined
  }
}

function factsOf(c: HonoContext): RequestFacts {
  const incoming = (c.env as { readonly incoming?: NodeRequest } | undefined)?.incoming
  return incoming?.rawHeaders === undefined ? factsFromWeb(c.req.raw) : factsFromNode(incoming)
}
