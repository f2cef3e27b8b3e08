/**
 * The policies of a protected table, as PostgreSQL writes them back.
 *
 * A copy, on purpose: the functions that say the same live in the database that is judged, and whoever could change a
 * policy could change them, too. A test holds the copy to what a fresh `rowhouse.protect()` makes.
 */

/** True for a schema that is the home of one tenant: its name says so. `name` is an expression. */
export function isHome(name: string): string {
  return `(${name} ~ '^t_[a-z0-9_]{2,40}_[0-9a-f]{12}$')`
}

/**
 * Rows of the sealed tenant where it lives beside the table; an error where there is no such seal. Versions before 4
 * of the schema know no homes.
 */
const TENANT_CONDITION = `'(tenant_id = ( SELECT COALESCE(( SELECT s.id
           FROM rowhouse.sealed s' || case
             when ($1::jsonb->>'installed')::int < 4 then ''
             when ${isHome('n.nspname')} then format(E'\\n          WHERE (s.home = %L::text)', n.nspname)
             else E'\\n          WHERE (s.home IS NULL)' end || '), rowhouse.reject()) AS "coalesce"))'`

/** Rows of the sealed units; all of the tenant's where the seal names none. */
const UNIT_CONDITION = `'(( SELECT (s.units IS NULL)
   FROM rowhouse.sealed s) OR (unit_id = ANY (( SELECT s.units
   FROM rowhouse.sealed s)::uuid[])))'`

/** What each table of a tenant has, if it has a policy of that name: `canonical (oid, name, permissive, condition)`. */
export const CANONICAL = `
canonical (oid, name, permissive, condition) as (
  select t.oid, w.name, w.permissive, w.condition
    from tenant_table t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace,
         lateral (values
           ('rowhouse_tenant', true, ${TENANT_CONDITION}),
           ('rowhouse_wall', false, ${TENANT_CONDITION}),
           ('rowhouse_unit', false, ${UNIT_CONDITION})) w (name, permissive, condition))`
