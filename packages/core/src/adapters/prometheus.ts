import { Gauge, type Registry } from 'prom-client'
import { BoundedUsage, COUNTERS, type CounterName } from '../isolation/bounded-usage.ts'
import type { UsageMeter } from '../isolation/usage.ts'

export interface PrometheusOptions {
  /** Tenants with a label of their own; everybody else is `other`. @defaultValue 50 */
  readonly topTenants?: number
}

const NAMES: Readonly<Record<CounterName, string>> = {
  statements: 'rowhouse_statements_total',
  errors: 'rowhouse_statement_errors_total',
  refused: 'rowhouse_statements_refused_total',
  rows: 'rowhouse_rows_total',
  checkedRows: 'rowhouse_rows_checked_total',
  bytes: 'rowhouse_result_bytes_total',
  elapsedMs: 'rowhouse_statement_milliseconds_total',
  checkouts: 'rowhouse_checkouts_total',
  waitedMs: 'rowhouse_checkout_wait_milliseconds_total',
}

/**
 * Adds what each tenant costs to a Prometheus registry, with a bounded number of labels, and how often the tripwire
 * raised an alarm (`rowhouse_alarms_total`, by kind).
 *
 * Values are read when the registry is asked; nothing is counted twice. They are set, not added up, so they are exposed
 * as gauges; they only rise, and `rate()` works on them.
 *
 * @throws {RangeError} when `topTenants` is not a whole number of at least 1
 * @example
 * ```ts
 * import { Registry } from 'prom-client'
 * import { createRowhouse } from 'rowhouse'
 * import { registerUsageMetrics } from 'rowhouse/prometheus'
 * const rowhouse = await createRowhouse({ url: process.env.DATABASE_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY })
 * const registry = new Registry()
 * registerUsageMetrics(rowhouse, registry)
 * console.log(await registry.metrics())
 * ```
 */
export function registerUsageMetrics(
  rowhouse: { readonly usage: UsageMeter },
  registry: Registry,
  { topTenants = 50 }: PrometheusOptions = {},
): void {
  const usage = new BoundedUsage(rowhouse.usage, topTenants)
  for (const [counter, help] of Object.entries(COUNTERS) as [CounterName, string][]) {
    const gauge = new Gauge({
      name: NAMES[counter],
      help,
      labelNames: ['tenant'],
      registers: [registry],
      collect: () => {
        for (const each of usage.read()) gauge.set({ tenant: each.slug }, each[counter])
      },
    })
  }
  const alarms = new Gauge({
    name: 'rowhouse_alarms_total',
    help: 'Alarms of the tripwire',
    labelNames: ['kind'],
    registers: [registry],
    collect: () => {
      for (const [kind, count] of Object.entries(rowhouse.usage.alarms())) alarms.set({ kind }, count)
    },
  })
}
