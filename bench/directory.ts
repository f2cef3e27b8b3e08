import { createRowhouse, fromSubdomain, type RequestFacts } from 'rowhouse'
import type { BenchDatabase } from './database.ts'
import { percentiles, round } from './measure.ts'

const TENANTS_REGISTERED = 10_000

/** Host → sealed context with 10,000 tenants: cold, cached, and what the cache weighs. */
export async function benchDirectory({ admin, appUrl, rootKey }: BenchDatabase) {
  await admin.query(
    `with made as (
       insert into rowhouse.tenant (id, slug, name) select gen_random_uuid(), 'many-' || n, 'Many ' || n
         from generate_series(1, $1::int) n returning id),
     placed as (insert into rowhouse.placement (tenant_id, key_version) select id, 1 from made)
     insert into rowhouse.resident (tenant_id, key_version, ipad, opad)
     select id, 1, decode(repeat('00', 64), 'hex'), decode(repeat('00', 64), 'hex') from made`,
    [TENANTS_REGISTERED],
  )
  const rowhouse = await createRowhouse({
    url: appUrl,
    rootKey,
    sources: [fromSubdomain({ base: 'bench.test' })],
    directoryTtlMs: 600_000,
  })
  const facts = (n: number): RequestFacts => ({
    method: 'GET',
    target: '/',
    rawHeaders: ['Host', `many-${1 + (n % TENANTS_REGISTERED)}.bench.test`],
    remoteAddress: '127.0.0.1',
  })
  globalThis.gc?.()
  const heapBefore = process.memoryUsage().heapUsed
  const pass = async () => {
    const latencies: number[] = []
    for (let n = 0; n < TENANTS_REGISTERED; n++) {
      const beganMs = performance.now()
      await rowhouse.enter(facts(n))
      latencies.push(performance.now() - beganMs)
    }
    return percentiles(latencies)
  }
  const cold = await pass()
  globalThis.gc?.()
  const heapMb = round((process.memoryUsage().heapUsed - heapBefore) / 1_048_576, 1)
  const cached = await pass()
  await rowhouse.close()
  return { tenants: TENANTS_REGISTERED, cold, cached, heapMb }
}
