/** Who a tenant is: branded identifiers, so that a user id can never stand where a tenant id belongs. */

declare const tenantBrand: unique symbol
declare const unitBrand: unique symbol

/** UUID of a tenant, lower case. */
export type TenantId = string & { readonly [tenantBrand]: true }

/** UUID of a unit (branch, office, team: a node of the tenant's org tree), lower case. */
export type UnitId = string & { readonly [unitBrand]: true }

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/**
 * Tells whether `value` has the shape of a tenant id: a lower-case UUID.
 *
 * @example
 * ```ts
 * import { isTenantId } from 'rowhouse'
 * console.assert(!isTenantId('acme'))
 * ```
 */
export function isTenantId(value: string): value is TenantId {
  return UUID.test(value)
}

/**
 * Returns `value` as a tenant id.
 *
 * @throws {TypeError} when it is not a lower-case UUID
 * @example
 * ```ts
 * import { requireTenantId } from 'rowhouse'
 * const id = requireTenantId('0190a1b2-0000-7000-8000-000000000001')
 * console.assert(id.length === 36)
 * ```
 */
export function requireTenantId(value: string): TenantId {
  if (!isTenantId(value)) throw new TypeError(`Cannot use "${value}" as a tenant id: wanted a lower-case UUID`)
  return value
}

/**
 * Returns `value` as a unit id.
 *
 * @throws {TypeError} when it is not a lower-case UUID
 * @example
 * ```ts
 * import { requireUnitId } from 'rowhouse'
 * const id = requireUnitId('0190a1b2-0000-7000-8000-000000000002')
 * console.assert(id.length === 36)
 * ```
 */
export function requireUnitId(value: string): UnitId {
  if (!UUID.test(value)) throw new TypeError(`Cannot use "${value}" as a unit id: wanted a lower-case UUID`)
  return value as UnitId
}
