import { isRowhouseError, type Rowhouse } from 'rowhouse'

export interface PlatformReport {
  /** Under this id the work is in the log of crossings. */
  readonly crossingId: string
  readonly tenants: readonly TenantFigures[]
  /** Tenants that did not answer, with the error's code. */
  readonly failed: readonly { readonly slug: string; readonly code: string }[]
}

export interface TenantFigures {
  readonly slug: string
  readonly name: string
  readonly currency: string
  readonly shipments: number
  readonly open: number
  /** Invoiced in the last 30 days including VAT, in the tenant's currency. */
  readonly revenue: number
}

/** Counts are per tenant and come from each tenant's own rows: there is no query that sees two tenants. */
const FIGURES = `
  select (select value #>> '{}' from setting where key = 'name') as name,
         (select value #>> '{}' from setting where key = 'currency') as currency,
         (select count(*)::int from shipment) as shipments,
         (select count(*)::int from shipment where status in ('booked', 'in_transit', 'customs')) as open,
         (select coalesce(sum(total), 0)::float8 from invoice where issued_at > now() - interval '30 days') as revenue`

/**
 * Reports over tenants, for the operator. Who and why are written down before the first row is read.
 *
 * @throws {AccessError} `ERR_CROSS_TENANT_REFUSED` without a reason, without an actor, or from inside a tenant's work
 */
export async function reportAcrossTenants(
  rowhouse: Rowhouse,
  request: { readonly reason: string; readonly actor: string; readonly tenants: 'all' | readonly string[] },
): Promise<PlatformReport> {
  return rowhouse.crossTenant(request, async (across) => {
    const outcomes = await across.many<Omit<TenantFigures, 'slug'>>(FIGURES)
    return {
      crossingId: across.crossingId,
      tenants: outcomes.flatMap((outcome) =>
        outcome.ok ? outcome.value.map((row) => ({ slug: outcome.tenant.slug, ...row })) : [],
      ),
      failed: outcomes.flatMap((outcome) =>
        outcome.ok
          ? []
          : [{ slug: outcome.tenant.slug, code: isRowhouseError(outcome.error) ? outcome.error.code : 'ERR_INTERNAL' }],
      ),
    }
  })
}
