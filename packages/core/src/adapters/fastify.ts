import { runWithTenantContext } from '../context/tenant-context.ts'
import type { TenantGate } from '../resolve/gate.ts'
import { factsFromNode, type NodeRequest } from '../resolve/request-facts.ts'
import { type AdapterOptions, refuse } from './refusal.ts'

/** The parts of Fastify's request and reply that are used. */
interface FastifyRequest {
  readonly raw: NodeRequest
}

interface FastifyReply {
  code(status: number): FastifyReply
  headers(headers: Record<string, string>): FastifyReply
  send(body: string): unknown
}

/** An `onRequest` hook. */
export type TenantHook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/**
 * Returns an `onRequest` hook that runs everything after it as the tenant of the request, or refuses the request.
 *
 * Add it on the root instance, before other hooks, and it also guards unknown routes.
 *
 * @example
 * ```ts
 * import fastify from 'fastify'
 * import { createRowhouse, fromSubdomain } from 'rowhouse'
 * import { tenantFromRequest } from 'rowhouse/fastify'
 * const sources = [fromSubdomain({ base: 'example.com' })]
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, sources })
 * const app = fastify()
 * app.addHook('onRequest', tenantFromRequest(rowhouse))
 * app.get('/shipments', () => rowhouse.db.many('select reference from shipment'))
 * ```
 */
export function tenantFromRequest(rowhouse: TenantGate, options: AdapterOptions = {}): TenantHook {
  // With a callback, not async: what `done` starts inherits the context, what follows a promise here would not.
  return function tenantHook(request, reply, done) {
    const facts = factsFromNode(request.raw)
    const entering = async () => rowhouse.enter(facts)
    entering()
      .then(
        (context) => runWithTenantContext(context, () => done()),
        (error: unknown) => {
          const { status, headers, body } = refuse(rowhouse, error, facts, options)
          reply.code(status).headers(headers).send(body)
        },
      )
      .catch(done)
  }
}
