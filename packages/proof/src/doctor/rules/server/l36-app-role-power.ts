import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from '../policy/own-objects.ts'

export const appRolePower: Rule = {
  id: 'L36',
  name: 'app-role-power',
  severity: 'error',
  title: 'Role of the application that policies do not bind',
  why: 'A superuser and a role with BYPASSRLS read and write the rows of all tenants. CREATEROLE hands out rights, REPLICATION copies the whole server, and a member of the owner switches policies off. Through any of them one injected statement is every tenant at once.',
  remedy: 'Take the attribute or the membership away. What needs it, e.g. migrations, logs in as another role.',
  applies: 'any',
  sql: `with ${SURVEYED},
    -- Logins may share the rights of rowhouse_app instead of being it: each of them is the application as well.
    login as (
      select a.oid from app_role a
      union
      select r.oid from pg_roles r, app_role a
       where ${INSTALLED} and a.name = 'rowhouse_app' and r.rolcanlogin and not r.rolsuper and pg_has_role(r.oid, a.oid, 'usage')),
    power as (
      select r.rolname, v.name
        from login a join pg_roles r on r.oid = a.oid,
             lateral (values (r.rolsuper, 'superuser'), (r.rolbypassrls, 'bypassrls'), (r.rolcreaterole, 'createrole'), (r.rolcreatedb, 'createdb'), (r.rolreplication, 'replication')) v (held, name)
       where v.held)
    select format('role %I', p.rolname) as object,
           format('role %I, of the application, has %s', p.rolname, upper(string_agg(p.name, ', ' order by p.name))) as message,
           format('alter role %I %s;', p.rolname, string_agg('no' || p.name, ' ' order by p.name)) as mend
      from power p group by p.rolname
    union all
    select format('role %I', a.name), format('role %I is a role of the application: it may switch policies off', a.name),
           (select string_agg(format('revoke %I from %I;', a.name, m.rolname), ' ' order by m.rolname)
              from (select distinct member from pg_auth_members x where x.roleid = a.oid) x join app_role b on b.oid = x.member join pg_roles m on m.oid = x.member)
      from app_role a where ${INSTALLED} and a.name in ('rowhouse_owner', 'rowhouse_migrator')`,
  fixtures: {
    fires: [
      'alter role rowhouse_app bypassrls',
      'alter role rowhouse_app createrole replication',
      'grant rowhouse_owner to rowhouse_app',
      'create role rowhouse_fixture_web login bypassrls in role rowhouse_app',
    ],
    quiet: [
      'alter role rowhouse_app inherit',
      'alter role rowhouse_migrator bypassrls',
      'create role rowhouse_fixture_web login in role rowhouse_app',
      'create role rowhouse_fixture_backup login bypassrls',
    ],
  },
}
