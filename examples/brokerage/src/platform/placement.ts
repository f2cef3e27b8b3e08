import type { PlacementRules } from 'rowhouse-server'

export const PLANS = ['starter', 'professional', 'enterprise'] as const
export type Plan = (typeof PLANS)[number]

/**
 * Where brokers live, as data. The application knows none of it.
 *
 * For a platform that gives every broker a database, `default` says `{ model: 'database' }` and the rules go.
 */
export const BROKERAGE_PLACEMENT: PlacementRules = {
  vocabulary: { plans: PLANS },
  rules: [
    { name: 'enterprise: a database of its own', when: 'tenant.plan == "enterprise"', model: 'database' },
    { name: 'professional: a schema of its own', when: 'tenant.plan == "professional"', model: 'schema' },
  ],
  default: { model: 'pooled' },
}
