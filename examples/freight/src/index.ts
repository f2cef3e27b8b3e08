/**
 * Freight: a forwarding company's system, written once, run for fifty companies. The example to start with.
 *
 * Read `sql/000001-freight.sql`, then `app/app.ts`, then any file in `domain/`: none of the queries knows that there
 * are tenants.
 */

export type { HybridHomes } from './demo/hybrid-tenants.ts'
export { type FreightDemo, type FreightDemoOptions, startFreightDemo } from './demo/start-freight-demo.ts'
export type { ProgressEvent } from './progress.ts'
export { applyFreightSchema } from './schema.ts'
