import type { BenchDatabase } from './database.ts'
import { percentiles } from './measure.ts'

const TEXT = `select count(*), sum(amount) from filter_bench where tenant_id = $1 and status = $2`

/** The tenant filter on 500,000 rows before and after an index that starts with the tenant, with both plans. */
export async function benchTenantFilter({ admin, tenants }: BenchDatabase) {
  await admin.query(`create table filter_bench as
    select tenant_id, id, (array['draft', 'booked', 'in_transit', 'delivered'])[1 + (id * 7 % 4)] as status, amount, note,
           repeat('y', 120) as remarks from plain`)
  await admin.query('vacuum analyze filter_bench')
  const before = await measure()
  await admin.query('create index on filter_bench (tenant_id, status) include (amount)')
  await admin.query('vacuum analyze filter_bench')
  const after = await measure()
  await admin.query('drop table filter_bench')
  return { rows: 500_000, before, after }

  async function measure() {
    const latencies: number[] = []
    for (let turn = 0; turn < 30; turn++) {
      const beganMs = performance.now()
      await admin.query(TEXT, [tenants[turn % tenants.length]?.id, 'booked'])
      latencies.push(performance.now() - beganMs)
    }
    const { rows } = await admin.query(`explain (analyze, costs off, timing off, summary off, buffers off) ${TEXT}`, [
      tenants[0]?.id,
      'booked',
    ])
    return { ...percentiles(latencies), plan: rows.map((row) => row['QUERY PLAN'] as string) }
  }
}
