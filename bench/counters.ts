import { createRowhouse } from 'rowhouse'
import type { BenchDatabase } from './database.ts'
import { round } from './measure.ts'

const STATEMENTS = 30_000
const IN_FLIGHT = 16

/**
 * What counting costs: the time spent in the counters (and in spans that nobody records), called as often as a
 * scoped statement calls them, as a share of the process's time per statement.
 */
export async function benchCounters({ appUrl, rootKey, tenants }: BenchDatabase) {
  const rowhouse = await createRowhouse({ url: appUrl, rootKey })
  const slug = tenants[0]?.slug ?? ''
  const cpuPerStatementUs = await rowhouse.withTenant(slug, async (db) => {
    const run = async (count: number) => {
      let left = count
      const worker = async () => {
        while (left-- > 0) await db.many('select id, status, amount from sealed where id = $1', [7])
      }
      await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
    }
    await run(STATEMENTS / 3)
    const before = process.cpuUsage()
    await run(STATEMENTS)
    const used = process.cpuUsage(before)
    return (used.user + used.system) / STATEMENTS
  })
  const context = { tenant: { id: tenants[0]?.id, slug } } as never
  const cost = { kind: 'read' as const, rows: 1, bytes: 40, checkedRows: 1, elapsedMs: 1 }
  for (let i = 0; i < 100_000; i++) rowhouse.usage.record(context, undefined, cost)
  const beganMs = performance.now()
  for (let i = 0; i < 1_000_000; i++) rowhouse.usage.record(context, undefined, cost)
  const countingUs = (performance.now() - beganMs) / 1000
  await rowhouse.close()
  return {
    cpuPerStatementUs: round(cpuPerStatementUs, 1),
    countingUs: round(countingUs, 3),
    sharePercent: round((countingUs / cpuPerStatementUs) * 100, 2),
  }
}
