import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, notOfExtension, ownSchema, REACH } from '../policy/own-objects.ts'

export const foreignTable: Rule = {
  id: 'L19',
  name: 'foreign-table',
  severity: 'error',
  title: 'Foreign table or server within reach of the application',
  why: 'PostgreSQL has no row-level security for foreign tables. The other server sees one login for all tenants and does not learn which of them asks. With USAGE on a foreign server a login can point tables of its own at whatever that server holds.',
  remedy:
    'Copy what tenants need into a protected table. Let no role of the application use foreign tables, servers or user mappings.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH}, others as (select string_agg(format(', %I', name), '' order by name) as names from app_role)
    select format('%I.%I', n.nspname, c.relname) as object,
           format('foreign table %I.%I%s and has no policies', n.nspname, c.relname,
                  case when u.held then ' is within reach of the application' else ' is part of a table of tenants' end) as message,
           case when u.held then format('revoke all on %I.%I from public%s;', n.nspname, c.relname, o.names) end as mend
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      cross join others o,
           lateral (select exists (select from app_role a where a.oid = c.relowner)
                        or exists (select from aclexplode(c.relacl) acl join reach r on r.oid = acl.grantee)
                        or exists (select from pg_attribute a, aclexplode(a.attacl) acl join reach r on r.oid = acl.grantee where a.attrelid = c.oid) as held) u
     where c.relkind = 'f' and ${ownSchema('n')} and ${notOfExtension('pg_class', 'c.oid')}
       and (u.held or (${INSTALLED} and exists (select from pg_inherits i join tenant_table t on t.oid = i.inhparent where i.inhrelid = c.oid)))
    union all
    select format('server %I', s.srvname), format('%s may use the foreign server %I', r.name, s.srvname), format('revoke usage on foreign server %I from %s;', s.srvname, case r.oid when 0 then 'public' else quote_ident(r.name) end)
      from pg_foreign_server s, aclexplode(s.srvacl) acl join reach r on r.oid = acl.grantee
    union all
    select format('foreign data wrapper %I', w.fdwname), format('%s may make servers of the foreign data wrapper %I', r.name, w.fdwname),
           format('revoke usage on foreign data wrapper %I from %s;', w.fdwname, case r.oid when 0 then 'public' else quote_ident(r.name) end)
      from pg_foreign_data_wrapper w, aclexplode(w.fdwacl) acl join reach r on r.oid = acl.grantee
    union all
    select format('user mapping for %s on %I', r.name, s.srvname), format('%s is mapped to a login of the foreign server %I', r.name, s.srvname),
           format('drop user mapping for %s server %I;', case r.oid when 0 then 'public' else quote_ident(r.name) end, s.srvname)
      from pg_user_mappings m join pg_foreign_server s on s.oid = m.srvid join reach r on r.oid = m.umuser`,
  fixtures: {
    fires: [
      `create foreign data wrapper far; create server away foreign data wrapper far;
create foreign table stock (id bigint) server away;
grant select on stock to rowhouse_app`,
      `create foreign data wrapper far; create server away foreign data wrapper far;
grant usage on foreign server away to rowhouse_app`,
      'create foreign data wrapper far; grant usage on foreign data wrapper far to rowhouse_app',
      `create foreign data wrapper far; create server away foreign data wrapper far;
create user mapping for public server away`,
      `create foreign data wrapper far; create server away foreign data wrapper far;
create table t (tenant_id uuid not null, id bigint) partition by list (id);
create foreign table t_old partition of t for values in (1) server away`,
    ],
    quiet: [
      `create foreign data wrapper far; create server away foreign data wrapper far;
create foreign table stock (id bigint) server away`,
      `create foreign data wrapper far; create server away foreign data wrapper far;
grant usage on foreign server away to rowhouse_migrator`,
    ],
  },
}
