import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { TenantContext } from '../context/tenant-context.ts'
import type { Statement, StatementCost } from './scoped-query.ts'

export type FinishSpan = (error: Error | undefined, cost: StatementCost | undefined) => void

/**
 * One OpenTelemetry span per scoped statement, with the tenant and without SQL values.
 *
 * Without a tracer provider the API hands out spans that do not record; those are dropped at once.
 */
export class Tracing {
  readonly #tracer = trace.getTracer('rowhouse')

  start(context: TenantContext, statement: Statement): FinishSpan | undefined {
    const span = this.#tracer.startSpan('rowhouse.statement', { kind: SpanKind.CLIENT })
    if (!span.isRecording()) return undefined
    span.setAttributes({
      'db.system.name': 'postgresql',
      'db.operation.name': /^\s*(\w+)/.exec(statement.text)?.[1]?.toUpperCase() ?? 'UNKNOWN',
      'rowhouse.tenant.id': context.tenant.id,
      'rowhouse.tenant.slug': context.tenant.slug,
    })
    return (error, cost) => finish(span, error, cost)
  }
}

function finish(span: Span, error: Error | undefined, cost: StatementCost | undefined): void {
  if (cost !== undefined) span.setAttribute('db.response.returned_rows', cost.rows)
  if (error !== undefined) {
    span.setStatus({ code: SpanStatusCode.ERROR })
    span.setAttribute('error.type', (error as { code?: string }).code ?? error.name)
  }
  span.end()
}
