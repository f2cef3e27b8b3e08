import type { TenantContext } from '../context/tenant-context.ts'
import { isRefusedByWall } from '../postgres/database-error.ts'
import type { StatementCost } from './scoped-query.ts'
import type { AlarmKind } from './tripwire.ts'

/** What one tenant has cost since the process started. Read by metering, profiles and anomaly detection. */
export interface TenantUsage {
  readonly tenantId: string
  readonly slug: string
  statements: number
  errors: number
  /** Rows returned or changed. */
  rows: number
  /** Bytes of result rows as they came over the wire. */
  bytes: number
  /** Rows the tripwire looked at: those with a column `tenant_id`, and all text where it watches for honey rows. */
  checkedRows: number
  /** Statements a wall refused: a seal that does not hold, no context, a row of somebody else. */
  refused: number
  /** Time between sending statements and their last byte, in milliseconds. */
  elapsedMs: number
  /** Checkouts of a connection, and how long they waited in all, in milliseconds. */
  checkouts: number
  waitedMs: number
}

/** Tenants counted one by one per process; about 200 bytes each. Later ones are counted together as `other`. */
const MAX_TENANTS = 50_000

/**
 * Counts what tenants cost, in the scoped path itself, so that no code path can forget to be counted.
 *
 * @example
 * ```ts
 * // @illustration
 * const [busiest] = rowhouse.usage.snapshot()
 * console.log(busiest?.slug, busiest?.statements, busiest?.elapsedMs)
 * ```
 */
export class UsageMeter {
  readonly #tenants = new Map<string, TenantUsage>()
  readonly #other = emptyUsage('other', 'other')
  readonly #alarms: Record<AlarmKind, number> = { 'foreign-row': 0, honey: 0 }

  record(context: TenantContext, error: Error | undefined, cost: StatementCost): void {
    const usage = this.#of(context)
    usage.statements++
    usage.rows += cost.rows
    usage.bytes += cost.bytes
    usage.elapsedMs += cost.elapsedMs
    usage.checkedRows += cost.checkedRows
    if (error === undefined) return
    usage.errors++
    if (isRefusedByWall(error)) usage.refused++
  }

  recordAlarm(kind: AlarmKind): void {
    this.#alarms[kind]++
  }

  /** Returns how often each kind of alarm was raised since the process started, over all tenants. */
  alarms(): Readonly<Record<AlarmKind, number>> {
    return { ...this.#alarms }
  }

  recordWait(context: TenantContext, waitedMs: number): void {
    const usage = this.#of(context)
    usage.checkouts++
    usage.waitedMs += waitedMs
  }

  /** Returns a copy of all counters, the busiest tenant (by time) first. */
  snapshot(): readonly TenantUsage[] {
    const all = [...this.#tenants.values(), ...(this.#other.statements > 0 ? [this.#other] : [])]
    return all.map((usage) => ({ ...usage })).sort((a, b) => b.elapsedMs - a.elapsedMs)
  }

  #of({ tenant }: TenantContext): TenantUsage {
    let usage = this.#tenants.get(tenant.id)
    if (usage === undefined) {
      if (this.#tenants.size >= MAX_TENANTS) return this.#other
      usage = emptyUsage(tenant.id, tenant.slug)
      this.#tenants.set(tenant.id, usage)
    }
    return usage
  }
}

function emptyUsage(tenantId: string, slug: string): TenantUsage {
  const sums = { statements: 0, errors: 0, refused: 0, rows: 0, checkedRows: 0, bytes: 0, elapsedMs: 0 }
  return { tenantId, slug, ...sums, checkouts: 0, waitedMs: 0 }
}
