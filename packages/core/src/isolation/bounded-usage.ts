import type { TenantUsage, UsageMeter } from './usage.ts'

/** The sums that are exported as monotonic counters. */
export const COUNTERS = {
  statements: 'Statements run',
  errors: 'Statements that failed',
  refused: 'Statements a wall refused',
  rows: 'Rows returned or changed',
  checkedRows: 'Rows the tripwire looked at',
  bytes: 'Bytes of result rows',
  elapsedMs: 'Time between sending statements and their last byte, in milliseconds',
  checkouts: 'Connections checked out',
  waitedMs: 'Time checkouts waited, in milliseconds',
} as const

export type CounterName = keyof typeof COUNTERS

/**
 * Figures per tenant with a bounded number of labels.
 *
 * The first `limit` tenants that are busiest when there is room get a label of their own and keep it; all later ones are
 * summed up as `other`. A tenant never leaves its label, so no counter ever goes backwards.
 */
export class BoundedUsage {
  readonly #usage: UsageMeter
  readonly #limit: number
  readonly #labelled = new Set<string>()

  constructor(usage: UsageMeter, limit: number) {
    if (!Number.isInteger(limit) || limit < 1) {
      throw new RangeError(`Cannot label ${limit} tenants: wanted a whole number of at least 1`)
    }
    this.#usage = usage
    this.#limit = limit
  }

  /** Returns one line per label, each with a slug; `other` comes last and only when it is not empty. */
  read(): readonly (Readonly<Record<CounterName, number>> & { readonly slug: string })[] {
    const all = this.#usage.snapshot()
    for (const { tenantId } of all) {
      if (this.#labelled.size >= this.#limit) break
      if (tenantId !== 'other') this.#labelled.add(tenantId)
    }
    const own = all.filter((each) => this.#labelled.has(each.tenantId))
    const rest = all.filter((each) => !this.#labelled.has(each.tenantId))
    return rest.length === 0 ? own : [...own, sum(rest)]
  }
}

function sum(usages: readonly TenantUsage[]): Readonly<Record<CounterName, number>> & { readonly slug: string } {
  const names = Object.keys(COUNTERS) as CounterName[]
  const totals = names.map((name) => [name, usages.reduce((total, usage) => total + usage[name], 0)])
  return { slug: 'other', ...(Object.fromEntries(totals) as Record<CounterName, number>) }
}
