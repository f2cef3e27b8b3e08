import { NextResponse } from 'next/server.js'
import { runWithTenantContext, type TenantContext } from '../context/tenant-context.ts'
import type { TenantGate } from '../resolve/gate.ts'
import { factsFromWeb, type WebRequest } from '../resolve/request-facts.ts'
import { type AdapterOptions, refuse } from './refusal.ts'

/** Headers under this name are Rowhouse's own; from outside they mean nothing and are taken off. */
const OWN_HEADERS = 'x-rowhouse-'

/**
 * Wraps a route handler (`route.ts`): it runs as the tenant of the request, or the request is refused.
 *
 * Next.js shows a handler neither the peer's address nor a second Host header: `fromTrustedHeader` refuses here, and the
 * server in front has to refuse duplicates. List `rowhouse` in `serverExternalPackages`, so that there is one copy of it.
 *
 * @example
 * ```ts
 * // app/shipments/route.ts
 * import { createRowhouse, fromSubdomain } from 'rowhouse'
 * import { withTenantRoute } from 'rowhouse/next'
 * const sources = [fromSubdomain({ base: 'example.com' })]
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, sources })
 * export const GET = withTenantRoute(rowhouse, async () =>
 *   Response.json(await rowhouse.db.many('select reference from shipment')))
 * ```
 */
export function withTenantRoute<R extends WebRequest, Args extends readonly unknown[]>(
  rowhouse: TenantGate,
  handler: (request: R, ...args: Args) => Response | Promise<Response>,
  options: AdapterOptions = {},
): (request: R, ...args: Args) => Promise<Response> {
  return async function tenantRoute(request, ...args) {
    const entered = await enter(rowhouse, request, options)
    return entered instanceof Response ? entered : runWithTenantContext(entered, async () => handler(request, ...args))
  }
}

/**
 * Returns a `proxy.ts` that refuses early, before pages and static files, and takes `x-rowhouse-*` headers off.
 *
 * Passes no tenant on: handlers resolve again, from the cache. Nothing a client sends can stand for this check.
 *
 * @example
 * ```ts
 * // proxy.ts
 * import { createRowhouse, fromSubdomain } from 'rowhouse'
 * import { tenantProxy } from 'rowhouse/next'
 * const sources = [fromSubdomain({ base: 'example.com' })]
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, sources })
 * export const proxy = tenantProxy(rowhouse)
 * ```
 */
export function tenantProxy(rowhouse: TenantGate, options: AdapterOptions = {}) {
  return async function proxy(request: WebRequest): Promise<Response> {
    const entered = await enter(rowhouse, request, options)
    if (entered instanceof Response) return entered
    const headers = new Headers()
    request.headers.forEach((value, name) => {
      if (!name.startsWith(OWN_HEADERS)) headers.append(name, value)
    })
    return NextResponse.next({ request: { headers } })
  }
}

async function enter(
  gate: TenantGate,
  request: WebRequest,
  options: AdapterOptions,
): Promise<TenantContext | Response> {
  const facts = factsFromWeb(request)
  try {
    return await gate.enter(facts)
  } catch (error) {
    const { status, headers, body } = refuse(gate, error, facts, options)
    return new Response(body, { status, headers })
  }
}
