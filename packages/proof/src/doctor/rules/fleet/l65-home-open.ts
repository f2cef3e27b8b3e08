import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'

const HOME = 't_acme_000000000001'

export const homeOpen: Rule = {
  id: 'L65',
  name: 'home-open',
  severity: 'error',
  title: 'Schema of a tenant that others may use',
  why: 'The application passes through the schema of a tenant to tables whose policies ask for a seal of that tenant. Whoever else may enter has none of that in the way of functions and views there; whoever owns the schema, or may create in it, puts a table or a function of their own in front of the shared ones.',
  remedy: 'Give the schema back to `rowhouse_owner` and leave its use to `rowhouse_app` alone.',
  applies: 'installed',
  sinceSchema: 4,
  sql: `with ${SURVEYED}, home as (
      select n.nspname, n.nspowner, n.nspacl from pg_namespace n where ${isHome('n.nspname')})
    select format('schema %I', h.nspname) as object, format('%I belongs to %I, wanted rowhouse_owner', h.nspname, o.rolname) as message,
           format('alter schema %I owner to rowhouse_owner;', h.nspname) as mend
      from home h join pg_roles o on o.oid = h.nspowner where o.rolname <> 'rowhouse_owner'
    union all
    select format('schema %I', h.nspname),
           format('%s may %s %I', case acl.grantee when 0 then 'everybody' else quote_ident(r.rolname) end,
                  case acl.privilege_type when 'USAGE' then 'use' else 'create in' end, h.nspname),
           format('revoke %s on schema %I from %s;', lower(acl.privilege_type), h.nspname, case acl.grantee when 0 then 'public' else quote_ident(r.rolname) end)
      from home h, aclexplode(h.nspacl) acl left join pg_roles r on r.oid = acl.grantee
     where acl.grantee <> h.nspowner and (acl.privilege_type = 'CREATE' or r.rolname is null or r.rolname not in ('rowhouse_app', 'rowhouse_migrator'))`,
  fixtures: {
    fires: [
      `create schema ${HOME} authorization rowhouse_owner; grant usage on schema ${HOME} to public`,
      `create schema ${HOME} authorization rowhouse_owner; grant create on schema ${HOME} to rowhouse_app`,
      `create schema ${HOME} authorization rowhouse_app`,
      `create schema ${HOME} authorization rowhouse_owner; grant usage on schema ${HOME} to pg_monitor`,
    ],
    quiet: [
      `create schema ${HOME} authorization rowhouse_owner; grant usage on schema ${HOME} to rowhouse_app`,
      'create schema t_shirts; grant usage on schema t_shirts to public',
    ],
  },
}
