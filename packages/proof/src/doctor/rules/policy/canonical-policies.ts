/**
 * The policies of a protected table, as PostgreSQL writes them back.
 *
 * A copy, on purpose: the functions that say the same live in the database that is judged, and whoever could change a
 * policy could change them, too. A test holds the copy to what a fresh `rowhouse.protect()` makes.
 */

/** Rows of the sealed tenant; an error where there is no valid seal. */
const TENANT_CONDITION = `(tenant_id = ( SELECT COALESCE(( SELECT s.id
           FROM rowhouse.sealed s), rowhouse.reject()) AS "coalesce"))`

/** Rows of the sealed units; all of the tenant's where the seal names none. */
const UNIT_CONDITION = `(( SELECT (s.units IS NULL)
   FROM rowhouse.sealed s) OR (unit_id = ANY (( SELECT s.units
   FROM rowhouse.sealed s)::uuid[])))`

export const CANONICAL_POLICIES = [
  { name: 'rowhouse_tenant', permissive: true, condition: TENANT_CONDITION },
  { name: 'rowhouse_wall', permissive: false, condition: TENANT_CONDITION },
  { name: 'rowhouse_unit', permissive: false, condition: UNIT_CONDITION },
] as const

/** The same as a table: `canonical (name, permissive, condition)`. */
export const CANONICAL = `
canonical (name, permissive, condition) as (values
  ${CANONICAL_POLICIES.map(({ name, permissive, condition }) => `('${name}', ${permissive}, '${condition}')`).join(',\n  ')})`
