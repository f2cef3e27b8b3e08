import type { TenantGate } from '../resolve/gate.ts'

/**
 * Functional middleware for `app.use()` or `consumer.apply()`, on Express and on Fastify (through middie).
 *
 * Runs before guards, interceptors and pipes, so all of them act as the tenant.
 */
export { type TenantMiddleware, tenantFromRequest } from './express.ts'

/** Token under which services get Rowhouse: `@Inject(ROWHOUSE) rowhouse: Rowhouse`. */
export const ROWHOUSE = Symbol('rowhouse')

/**
 * Returns the provider of `ROWHOUSE` for the `providers` of a module.
 *
 * Rowhouse itself is no request-scoped provider and needs none: it reads the tenant when it is called.
 *
 * @example
 * ```ts
 * import { Module } from '@nestjs/common'
 * import { createRowhouse, fromSubdomain } from 'rowhouse'
 * import { provideRowhouse, tenantFromRequest } from 'rowhouse/nest'
 * const sources = [fromSubdomain({ base: 'example.com' })]
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, sources })
 * class AppModule {}
 * Module({ providers: [provideRowhouse(rowhouse)] })(AppModule)
 * // in main.ts: app.use(tenantFromRequest(rowhouse))
 * ```
 */
export function provideRowhouse<Gate extends TenantGate>(
  rowhouse: Gate,
): { readonly provide: typeof ROWHOUSE; readonly useValue: Gate } {
  return { provide: ROWHOUSE, useValue: rowhouse }
}
