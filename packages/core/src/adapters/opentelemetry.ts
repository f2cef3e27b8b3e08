import { metrics } from '@opentelemetry/api'
import { BoundedUsage, COUNTERS, type CounterName } from '../isolation/bounded-usage.ts'
import type { UsageMeter } from '../isolation/usage.ts'

export interface OpenTelemetryOptions {
  /** Tenants with an attribute of their own; everybody else is `other`. @defaultValue 50 */
  readonly topTenants?: number
}

/**
 * Exports what each tenant costs through the OpenTelemetry API, as observable counters `rowhouse.<figure>`, and the alarms
 * of the tripwire, by kind, as `rowhouse.alarms`.
 *
 * Call it after the metrics SDK was set up. Spans need no call: every scoped statement makes one where a tracer
 * provider is registered.
 *
 * @returns a function that ends the export
 * @throws {RangeError} when `topTenants` is not a whole number of at least 1
 * @example
 * ```ts
 * import { createRowhouse } from 'rowhouse'
 * import { exportUsage } from 'rowhouse/opentelemetry'
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY })
 * const stop = exportUsage(rowhouse)
 * stop()
 * ```
 */
export function exportUsage(
  rowhouse: { readonly usage: UsageMeter },
  { topTenants = 50 }: OpenTelemetryOptions = {},
): () => void {
  const usage = new BoundedUsage(rowhouse.usage, topTenants)
  const meter = metrics.getMeter('rowhouse')
  const names = Object.keys(COUNTERS) as CounterName[]
  const counters = names.map((name) =>
    meter.createObservableCounter(`rowhouse.${name}`, { description: COUNTERS[name] }),
  )
  const alarms = meter.createObservableCounter('rowhouse.alarms', { description: 'Alarms of the tripwire' })
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
    for (const [kind, count] of Object.entries(rowhouse.usage.alarms())) {
      result.observe(alarms, count, { 'rowhouse.alarm.kind': kind })
    }
    for (const each of usage.read()) {
      names.forEach((name, i) => {
        const counter = counters[i]
        if (counter !== undefined) result.observe(counter, each[name], { 'rowhouse.tenant.slug': each.slug })
      })
    }
  }
  const observed = [...counters, alarms]
  meter.addBatchObservableCallback(observe, observed)
  return () => meter.removeBatchObservableCallback(observe, observed)
}
