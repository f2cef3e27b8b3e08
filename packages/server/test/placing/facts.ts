import type { PlacementRequest, ServerNow, TenantToPlace } from '../../src/placing/placement-request.ts'

/** A tenant about which nothing is special. */
export function tenant(facts: Partial<TenantToPlace> = {}): TenantToPlace {
  return { slug: 'acme', plan: 'pro', region: '', compliance: [], expectedRows: 1_000, labels: {}, ...facts }
}

export function request(facts: Partial<TenantToPlace> = {}, operator?: PlacementRequest['operator']): PlacementRequest {
  return { tenant: tenant(facts), ...(operator && { operator }) }
}

/** A server with room. */
export function server(name: string, facts: Partial<ServerNow> = {}): ServerNow {
  return { name, region: 'eu', kind: 'postgres', state: 'active', capacity: 100, tenants: 0, ...facts }
}
