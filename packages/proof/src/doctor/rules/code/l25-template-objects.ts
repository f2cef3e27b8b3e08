import type { Rule } from '../../rule.ts'
import { SURVEYED } from '../../rule.ts'

export const templateObjects: Rule = {
  id: 'L25',
  name: 'template-objects',
  severity: 'warning',
  title: 'Objects in template1, or somebody who may put some there',
  why: 'Every new database is a copy of template1, rights inside it included. What lies there today is in the database of the next tenant tomorrow, and nobody looks into it again.',
  remedy:
    'Drop what is in template1, and make databases from template0. From another database only objects with an owner or grants of their own are seen: connect to template1 to see those of the first superuser.',
  applies: 'any',
  sql: `with ${SURVEYED}, template as (select d.oid, d.datdba, d.datacl from pg_database d where d.datname = 'template1')
    select 'database template1' as object, format('template1 holds %s objects that belong or are granted to %s: each new database gets a copy',
                  count(distinct (s.classid, s.objid)), string_agg(distinct quote_ident(r.rolname), ', ')) as message, null as mend
      from template t
      join pg_shdepend s on s.dbid = t.oid and s.refclassid = 'pg_authid'::regclass
      join pg_roles r on r.oid = s.refobjid
     where r.rolname !~ '^pg_'
    having count(*) > 0
    union all
    select 'database template1', format('%s may create objects in template1', case acl.grantee when 0 then 'everybody' else quote_ident(pg_get_userbyid(acl.grantee)) end),
           format('revoke create on database template1 from %s;', case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end)
      from template t, aclexplode(t.datacl) acl where acl.privilege_type = 'CREATE' and acl.grantee <> t.datdba
    union all
    select 'database template1', format('template1 belongs to %I, which is no superuser', o.rolname), null
      from template t join pg_roles o on o.oid = t.datdba where not o.rolsuper`,
  fixtures: {
    fires: [
      'grant create on database template1 to rowhouse_app',
      `set local allow_system_table_mods = on;
insert into pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
select (select oid from pg_database where datname = 'template1'), 'pg_class'::regclass, 99999, 0, 'pg_authid'::regclass, 'rowhouse_owner'::regrole, 'o'`,
    ],
    quiet: [
      'grant connect on database template1 to rowhouse_app',
      'create table left_over (id bigint); alter table left_over owner to rowhouse_owner',
    ],
  },
}
