import { requireSlug, TenantError, type TenantId } from 'rowhouse'
import { type OperatorWish, requireRequest, type TenantToPlace } from '../placing/placement-request.ts'

/** Who is to be made a tenant, and what is known about it. */
export interface ProvisioningRequest {
  readonly slug: string
  /** Shown to people, 1 to 200 characters. @defaultValue the slug */
  readonly name?: string
  /** @defaultValue 'standard' */
  readonly plan?: string
  /** Migrations reach rings one after the other. @defaultValue 'general' */
  readonly ring?: string
  /** Region the data may not leave. @defaultValue any */
  readonly region?: string
  readonly compliance?: readonly string[]
  readonly expectedRows?: number
  readonly labels?: Readonly<Record<string, string>>
  /** What an operator asks for by name; goes before the rules, not before residency, requirements and capacity. */
  readonly wish?: OperatorWish
  /** The first person of the tenant; given to the platform's own steps. */
  readonly administrator?: { readonly email: string; readonly name?: string }
  /** The same key twice, also at the same time, makes one tenant. @defaultValue the slug */
  readonly idempotencyKey?: string
}

/** A request with every default filled in, as the journal keeps it. */
export interface ProvisioningJob {
  readonly tenantId: TenantId
  readonly slug: string
  readonly name: string
  readonly plan: string
  readonly ring: string
  readonly region: string
  readonly compliance: readonly string[]
  readonly expectedRows: number
  readonly labels: Readonly<Record<string, string>>
  readonly wish: OperatorWish
  readonly administrator: { readonly email: string; readonly name?: string } | undefined
  readonly idempotencyKey: string
  /** Ends as `standby` instead of `active`. */
  readonly forStandby: boolean
}

const WORD = /^[a-z0-9][a-z0-9_-]{0,62}$/

/**
 * Checks a request before anything is journalled.
 *
 * @throws {TenantError} `ERR_TENANT_SLUG_INVALID` for a name that cannot be used, or is reserved
 * @throws {RangeError} for a name, plan, ring or key of a wrong shape
 * @throws {TypeError} for facts of a wrong type
 */
export function toJob(request: ProvisioningRequest, tenantId: TenantId, forStandby = false): ProvisioningJob {
  const {
    slug,
    name = slug,
    plan = 'standard',
    ring = 'general',
    region = '',
    compliance = [],
    expectedRows = 0,
  } = request
  const { labels = {}, wish = {}, administrator, idempotencyKey = slug } = request
  if (typeof slug !== 'string') throw new TenantError('ERR_TENANT_SLUG_INVALID', 'Cannot name a tenant without a slug')
  requireSlug(slug)
  if (typeof name !== 'string' || name.length < 1 || name.length > 200) {
    throw new RangeError('Cannot provision a tenant with this name: wanted 1 to 200 characters')
  }
  for (const [field, value] of Object.entries({ plan, ring })) {
    if (typeof value === 'string' && WORD.test(value)) continue
    throw new RangeError(
      `Cannot provision tenant "${slug}" with ${field} "${value}": wanted 1 to 63 lower-case letters, digits, "-" and "_"`,
    )
  }
  if (typeof idempotencyKey !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(idempotencyKey)) {
    throw new RangeError('Cannot use this idempotency key: wanted 1 to 200 printable ASCII characters without spaces')
  }
  if (administrator !== undefined && !/^[^\s@]+@[^\s@]+$/.test(administrator.email)) {
    throw new RangeError(
      `Cannot make "${administrator.email}" the administrator of "${slug}": wanted an e-mail address`,
    )
  }
  requireRequest({ tenant: { slug, plan, region, compliance, expectedRows, labels }, operator: wish })
  return {
    tenantId,
    slug,
    name,
    plan,
    ring,
    region,
    compliance,
    expectedRows,
    labels,
    wish,
    administrator,
    idempotencyKey,
    forStandby,
  }
}

/** The variable `tenant` of placement rules. */
export function toPlace({ slug, plan, region, compliance, expectedRows, labels }: ProvisioningJob): TenantToPlace {
  return { slug, plan, region, compliance, expectedRows, labels }
}
