import { type Rule, SURVEYED } from '../../rule.ts'

export const ownerPower: Rule = {
  id: 'L60',
  name: 'owner-power',
  severity: 'error',
  title: 'Owner of the tables that may log in or that policies do not bind',
  why: 'Everything belongs to `rowhouse_owner`, which nobody logs in as, and FORCE binds it to the policies like anybody else. With a login there is a password that opens every table; with BYPASSRLS or as a superuser its functions and views read the rows of all tenants for whoever may call them.',
  remedy: 'Take the attribute away. Migrations become the owner with SET ROLE, from a login of their own.',
  applies: 'installed',
  sql: `with ${SURVEYED},
    power as (
      select r.rolname, v.name
        from pg_roles r,
             lateral (values (r.rolsuper, 'superuser'), (r.rolbypassrls, 'bypassrls'), (r.rolcreaterole, 'createrole'), (r.rolreplication, 'replication'), (r.rolcanlogin, 'login')) v (held, name)
       where r.rolname = 'rowhouse_owner' and v.held)
    select format('role %I', p.rolname) as object,
           format('role %I, which owns the tables, has %s', p.rolname, upper(string_agg(p.name, ', ' order by p.name))) as message,
           format('alter role %I %s;', p.rolname, string_agg('no' || p.name, ' ' order by p.name)) as mend
      from power p group by p.rolname`,
  fixtures: {
    fires: [
      'alter role rowhouse_owner login',
      'alter role rowhouse_owner bypassrls',
      'alter role rowhouse_owner superuser',
    ],
    quiet: ['alter role rowhouse_owner inherit', 'alter role rowhouse_migrator login'],
  },
}
