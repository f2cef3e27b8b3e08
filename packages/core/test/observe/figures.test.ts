import { metrics, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import pino from 'pino'
import { Registry } from 'prom-client'
import { Secret, tenantLogFields } from 'rowhouse'
import { exportUsage } from 'rowhouse/opentelemetry'
import { registerUsageMetrics } from 'rowhouse/prometheus'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

const TOKEN = 'hny_00000000000000000000'

const spans = new InMemorySpanExporter()
let n: Neighbours
beforeAll(async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
  n = await createNeighbours()
})
afterAll(() => n.close())

describe('figures per tenant', () => {
  it('count statements, rows, bytes, time and errors on lanes, pooled connections and in transactions', async () => {
    const rowhouse = await n.open()
    await rowhouse.withTenant('acme', async (db) => {
      await db.many('select * from item')
      await db.query('/* pooled */ select * from item')
      await db.transaction((tx) => tx.query('select * from item'))
      await db.query('select 1 / 0').catch(() => {})
    })
    const acme = rowhouse.usage.snapshot().find((usage) => usage.slug === 'acme')
    // Three reads, the failing one, BEGIN and COMMIT.
    expect(acme).toMatchObject({ statements: 6, errors: 1, rows: 9, checkouts: 2 })
    expect(acme?.bytes).toBeGreaterThan(9 * 40)
    expect(acme?.elapsedMs).toBeGreaterThan(0)
  })

  it('are Prometheus text with bounded labels that never go backwards', async () => {
    const rowhouse = await n.open()
    const registry = new Registry()
    registerUsageMetrics(rowhouse, registry, { topTenants: 1 })
    const read = async () => (await registry.metrics()).match(/^rowhouse_statements_total\{.*$/gm)
    await rowhouse.withTenant('globex', (db) => db.query('select pg_sleep(0.02)'))
    const first = await read()
    for (let i = 0; i < 5; i++) await rowhouse.withTenant('acme', (db) => db.query('select pg_sleep(0.02)'))
    const second = await read()
    expect(first?.length).toBeLessThanOrEqual(2)
    expect(second?.some((line) => line.includes('tenant="other"'))).toBe(true)
    const labelled = first?.[0]?.split(' ')[0] ?? ''
    expect(second?.some((line) => line.startsWith(labelled))).toBe(true)
    expect(() => registerUsageMetrics(rowhouse, new Registry(), { topTenants: 0 })).toThrow(RangeError)
  })

  it('name the alarms of the tripwire by kind, and what it looked at and the walls refused by tenant', async () => {
    const rowhouse = await n.open({ tripwire: 'report', honeyTokens: [TOKEN] })
    const registry = new Registry()
    registerUsageMetrics(rowhouse, registry)
    await rowhouse.withTenant('acme', async (db) => {
      await db.many('select * from item')
      await db.many('select $1::text as label', [`bait ${TOKEN}`])
      await db.query('insert into item (tenant_id, id, label) values ($1, 9, $2)', [n.b.id, 'x']).catch(() => {})
    })
    const text = await registry.metrics()
    expect(text).toContain('rowhouse_alarms_total{kind="honey"} 1')
    expect(text).toContain('rowhouse_alarms_total{kind="foreign-row"} 0')
    expect(text).toContain('rowhouse_rows_checked_total{tenant="acme"} 4')
    expect(text).toContain('rowhouse_statements_refused_total{tenant="acme"} 1')
  })

  it('reach an OpenTelemetry meter', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
    const rowhouse = await n.open({ tripwire: 'report', honeyTokens: [TOKEN] })
    const stop = exportUsage(rowhouse)
    await rowhouse.withTenant('acme', (db) => db.query(`select '${TOKEN}'`))
    await reader.forceFlush()
    const pointsOf = (name: string) =>
      exporter.getMetrics()[0]?.scopeMetrics[0]?.metrics.find((metric) => metric.descriptor.name === name)?.dataPoints
    const alarms = pointsOf('rowhouse.alarms')?.map((point) => [point.attributes['rowhouse.alarm.kind'], point.value])
    expect(alarms).toEqual([
      ['foreign-row', 0],
      ['honey', 1],
    ])
    const points = pointsOf('rowhouse.statements')
    expect(points?.some((point) => point.attributes['rowhouse.tenant.slug'] === 'acme' && point.value === 1)).toBe(true)
    stop()
    await reader.shutdown()
  })
})

describe('a span', () => {
  it('names tenant, operation, rows and error type, and carries no SQL and no value', async () => {
    spans.reset()
    await n.rowhouse.withTenant('acme', async (db) => {
      await db.many('select * from item where label = $1', ['acme1'])
      await db.query(`select 'very-secret' from nowhere`).catch(() => {})
    })
    const [read, failed] = spans.getFinishedSpans().filter((span) => span.attributes['rowhouse.tenant.slug'] === 'acme')
    expect(read?.attributes).toMatchObject({
      'db.operation.name': 'SELECT',
      'rowhouse.tenant.id': n.a.id,
      'db.response.returned_rows': 1,
    })
    expect(failed?.attributes).toMatchObject({ 'error.type': '42P01' })
    expect(JSON.stringify(spans.getFinishedSpans().map((span) => span.attributes))).not.toMatch(/very-secret|acme1/)
  })
})

describe('a log', () => {
  it('names the tenant on every line inside its work and on none outside; secrets print as such', async () => {
    const lines: Record<string, unknown>[] = []
    const log = pino({ mixin: tenantLogFields }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    log.info('before')
    await n.rowhouse.withTenant({ tenant: 'acme', actor: 'user:1' }, async (db) => {
      await db.query('select 1')
      log.info({ password: new Secret('hunter2') }, 'inside')
    })
    log.info('after')
    expect(lines[0]).not.toHaveProperty('tenant')
    expect(lines[1]).toMatchObject({ tenant: 'acme', tenantId: n.a.id, actor: 'user:1', password: '[secret]' })
    expect(lines[2]).not.toHaveProperty('tenant')
    expect(`${new Secret('hunter2')}`).toBe('[secret]')
  })
})
