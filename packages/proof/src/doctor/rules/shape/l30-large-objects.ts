import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, REACH } from '../policy/own-objects.ts'

export const largeObjects: Rule = {
  id: 'L30',
  name: 'large-objects',
  severity: 'error',
  title: 'Large objects within reach of tenants',
  why: 'Large objects have no tenant and no policies. Whoever may call their functions makes objects that others find by counting numbers, and reads what others left; a column that holds such a number is a door to the object behind it. They also stay behind when rows are moved or erased.',
  remedy:
    'Keep bytes in a bytea column or in an object store, under the tenant. A superuser revokes the functions; `rowhouse install` does so where it may.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH}
    select format('%s.%I', t.name, a.attname) as object,
           format('%s.%I holds numbers of large objects, which have no tenant', t.name, a.attname) as message,
           null as mend
      from tenant_table t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      join pg_type y on y.oid = a.atttypid
     where a.atttypid = 'oid'::regtype or y.typbasetype = 'oid'::regtype
    union all
    select format('large objects for %s', r.name),
           format('%s may call %s: large objects of one tenant are open to the others', case r.oid when 0 then 'everybody' else r.name end,
                  string_agg(distinct p.proname, ', ' order by p.proname)),
           string_agg(format('revoke execute on function pg_catalog.%I(%s) from %s;', p.proname, pg_get_function_identity_arguments(p.oid),
                             case r.oid when 0 then 'public' else quote_ident(r.name) end), ' ' order by p.oid::regprocedure::text)
      from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl join reach r on r.oid = acl.grantee
     where p.pronamespace = 'pg_catalog'::regnamespace and (p.proname ~ '^lo_' or p.proname in ('loread', 'lowrite'))
       and (${INSTALLED} or exists (select from tenant_table))
     group by r.oid, r.name`,
  fixtures: {
    fires: [
      'create table t (tenant_id uuid not null, id bigint, photo oid, primary key (tenant_id, id))',
      `create domain lo as oid;
create table t (tenant_id uuid not null, id bigint, photo lo, primary key (tenant_id, id))`,
      'grant execute on function lo_from_bytea(oid, bytea) to rowhouse_app',
      'grant execute on function lo_get(oid) to public',
    ],
    quiet: [
      'create table t (tenant_id uuid not null, id bigint, photo bytea, of regclass, primary key (tenant_id, id))',
      'grant execute on function lo_get(oid) to rowhouse_migrator',
      'create table relation_note (relation oid primary key)',
    ],
    elsewhere: {
      fires: ['create table bill (org_id bigint)'],
      quiet: ['create table port (code text)'],
    },
  },
}
