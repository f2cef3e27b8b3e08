import type { Plan } from '../platform/placement.ts'

export interface DemoBroker {
  readonly slug: string
  readonly name: string
  readonly plan: Plan
  readonly currency: string
  readonly clients: number
}

/** One broker of each plan. Invented; none of them is a real company. */
export const DEMO_BROKERS: readonly DemoBroker[] = [
  { slug: 'harbour', name: 'Harbour & Bridge Insurance', plan: 'starter', currency: 'EUR', clients: 300 },
  { slug: 'linden', name: 'Linden Brokers', plan: 'professional', currency: 'GBP', clients: 800 },
  { slug: 'northgate', name: 'Northgate Risk Partners', plan: 'enterprise', currency: 'CHF', clients: 3_000 },
]
