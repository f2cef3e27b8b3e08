import { type Rule, SURVEYED } from '../../rule.ts'

export const serverFunctions: Rule = {
  id: 'L63',
  name: 'server-functions',
  severity: 'error',
  title: 'Function of PostgreSQL that was closed and is open to the application',
  why: 'PostgreSQL gives functions that read files, list directories or rotate logs to nobody. Granted to the application, one injected SELECT reads configuration, keys or the data files in which the rows of all tenants lie.',
  remedy: 'Revoke the right. What needs it logs in as another role, e.g. a member of pg_monitor.',
  applies: 'any',
  sql: `with ${SURVEYED},
    given as (
      select p.oid, x.grantee from pg_proc p cross join aclexplode(p.proacl) x
       where p.pronamespace = 'pg_catalog'::regnamespace and x.privilege_type = 'EXECUTE'),
    initial as (
      select i.objoid as oid, x.grantee from pg_init_privs i cross join aclexplode(i.initprivs) x
       where i.classoid = 'pg_proc'::regclass and x.privilege_type = 'EXECUTE')
    select format('function %s', g.oid::regprocedure) as object,
           format('%s may call %s, which PostgreSQL gives to nobody', case g.grantee when 0 then 'everybody' else format('role %I, of the application,', a.name) end, g.oid::regprocedure) as message,
           format('revoke execute on function %s from %s;', g.oid::regprocedure, case g.grantee when 0 then 'public' else quote_ident(a.name) end) as mend
      from given g
      left join app_role a on a.oid = g.grantee
     where (g.grantee = 0 or a.oid is not null)
       and exists (select from initial i where i.oid = g.oid)
       and not exists (select from initial i where i.oid = g.oid and i.grantee in (0, g.grantee))`,
  fixtures: {
    fires: [
      'grant execute on function pg_catalog.pg_read_file(text) to rowhouse_app',
      'grant execute on function pg_catalog.pg_ls_dir(text) to public',
    ],
    quiet: [
      'grant execute on function pg_catalog.pg_read_file(text) to pg_monitor',
      'grant execute on function pg_catalog.pg_sleep(double precision) to rowhouse_app',
    ],
  },
}
