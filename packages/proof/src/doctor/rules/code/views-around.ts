import { ownSchema } from '../policy/own-objects.ts'

/**
 * Views that reach a tenant's table past its policies, however many views lie between: `around (relation, opened_by, target)`.
 *
 * The same reasoning as `rowhouse.views_around`, for all tables at once and without trusting that function:
 * a view reads and writes as its owner, unless it has security_invoker; policies bind the owner unless it is a superuser,
 * has BYPASSRLS, or owns a table that does not force them. A materialized view holds what its owner once read.
 */
export const VIEWS_AROUND = `
around_or_above (relation, opened_by, target) as (
  select t.oid, null::oid, t.oid from tenant_table t
  union
  select v.oid,
         case when v.relkind = 'm' then v.oid
              when i.invoker then null
              when b.opened_by is not null then b.opened_by
              when b.relation = b.target and c.relrowsecurity
               and (o.rolsuper or o.rolbypassrls or (not c.relforcerowsecurity and pg_has_role(v.relowner, c.relowner, 'usage'))) then v.oid end,
         b.target
    from around_or_above b
    join pg_class c on c.oid = b.target
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = b.relation
    join pg_rewrite r on r.oid = d.objid
    join pg_class v on v.oid = r.ev_class and v.relkind in ('v', 'm') and v.oid <> b.relation
    join pg_roles o on o.oid = v.relowner,
         lateral (select coalesce((select x.option_value::boolean from pg_options_to_table(v.reloptions) x where x.option_name = 'security_invoker'), false)) i (invoker)),
around as (select * from around_or_above where opened_by is not null),
used as (
  select u.oid, u.rights from (
    select c.oid, (select string_agg(distinct acl.privilege_type, ', ' order by acl.privilege_type)
                     from (select a.grantee, a.privilege_type from aclexplode(c.relacl) a
                           union all select a.grantee, a.privilege_type from pg_attribute t, aclexplode(t.attacl) a where t.attrelid = c.oid
                           union all select r.oid, 'SELECT' from app_role r where r.oid = c.relowner) acl
                     join reach r on r.oid = acl.grantee
                    where acl.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')) as rights
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('v', 'm') and ${ownSchema('n')}) u
   where u.rights is not null)`
