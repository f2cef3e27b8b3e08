import { requirePerson, requireReason } from '../../lifecycle/who-and-why.ts'
import { MODELS, type Model } from '../../placing/placement-rules.ts'

/** Tenants that shall be moved together, and where to. */
export interface BulkRequest {
  /** Slugs or ids. One of `tenants` and `from` has to be there: nobody moves all tenants by leaving something out. */
  readonly tenants?: readonly string[]
  /** What tenants have to be like; all of it. */
  readonly from?: {
    readonly model?: Model
    readonly server?: string
    readonly plan?: string
    /** By what they take where they live; in shared tables, by what their rows take. */
    readonly smallerThanBytes?: number
    readonly largerThanBytes?: number
  }
  /** At most so many, the smallest first, 1 to 100,000. @defaultValue all */
  readonly limit?: number
  readonly to: { readonly model: Model; readonly server: string }
  /** As for one move: lets them leave the regions their data may not leave. @defaultValue false */
  readonly outsideRegion?: boolean
  /** Moves at one time, 1 to 3; fewer when the target has few connections left. @defaultValue 2 */
  readonly concurrency?: number
}

/** A bulk move with its name. Asked for again under the same name, it goes on. */
export interface BulkStart extends BulkRequest {
  /** Lower-case letters, digits and hyphens, 1 to 63. */
  readonly name: string
  /** Why, for people, 3 to 1,000 characters. */
  readonly reason: string
  /** Who asked for it, 1 to 200 characters. */
  readonly requestedBy: string
  /** No further tenant is begun after so many could not be moved, 1 to 100,000. @defaultValue 1 */
  readonly maxFailures?: number
}

/** A process makes two cuts at one time: more moves than a few only wait for their turn, with a copy that grows old. */
const MAX_CONCURRENCY = 3
export const DEFAULT_CONCURRENCY = 2
export const DEFAULT_MAX_FAILURES = 1
const MANY = 100_000

/** @throws {RangeError} for what makes no sense */
export function requireBulkRequest(request: BulkRequest): void {
  const { tenants, from = {}, limit, to, concurrency } = request
  const criteria = Object.values(from).filter((value) => value !== undefined)
  if ((tenants === undefined || tenants.length === 0) && criteria.length === 0) {
    throw new RangeError(
      'Cannot move tenants together without saying which: wanted a list of them, or what they are like',
    )
  }
  if ((tenants?.length ?? 0) > MANY) throw new RangeError(`Cannot move tenants together: wanted at most ${MANY}`)
  requireModel(to.model, 'to')
  if (from.model !== undefined) requireModel(from.model, 'from')
  requireWhole('limit', limit, 1, MANY)
  requireWhole('concurrency', concurrency, 1, MAX_CONCURRENCY)
  for (const field of ['smallerThanBytes', 'largerThanBytes'] as const)
    requireWhole(field, from[field], 0, Number.MAX_SAFE_INTEGER)
}

/**
 * @throws {RangeError} for what makes no sense
 * @throws {TenantError} `ERR_CAUSE_INVALID` for who asks or why
 */
export function requireBulkStart(start: BulkStart): void {
  requireBulkRequest(start)
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(start.name)) {
    throw new RangeError(
      `Cannot name a bulk move "${start.name}": wanted 1 to 63 lower-case letters, digits and hyphens, no hyphen first`,
    )
  }
  const action = `move tenants together as "${start.name}"`
  requireReason(start.reason, action)
  requirePerson(start.requestedBy, action)
  requireWhole('maxFailures', start.maxFailures, 1, MANY)
}

/** What makes two requests the same one, as plain data. Concurrency and patience may be others the next time. */
export function identityOf({ tenants, from, limit, to, outsideRegion = false }: BulkRequest) {
  return {
    tenants: tenants ?? null,
    from: Object.fromEntries(Object.entries(from ?? {}).filter(([, value]) => value !== undefined)),
    limit: limit ?? null,
    to,
    outsideRegion,
  }
}

function requireModel(model: string, end: 'from' | 'to'): void {
  if (MODELS.includes(model as Model)) return
  throw new RangeError(`Cannot move tenants ${end} model "${model}": wanted ${MODELS.join(', ')}`)
}

function requireWhole(field: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return
  throw new RangeError(
    `Cannot move tenants together: ${field} is ${value}; wanted a whole number from ${least} to ${most}`,
  )
}
