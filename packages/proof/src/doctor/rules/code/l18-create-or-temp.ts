import { type Rule, SURVEYED } from '../../rule.ts'
import { ownSchema, REACH } from '../policy/own-objects.ts'

export const createOrTemp: Rule = {
  id: 'L18',
  name: 'create-or-temp',
  severity: 'error',
  title: 'The application may create objects',
  why: 'A temporary table hides a table of the same name, because temporary objects come first in every search path: the next tenant on that connection reads what the last one planted. With CREATE on a schema the same works with functions and operators, for everybody at once.',
  remedy: 'Revoke the right from PUBLIC and from the roles of the application; migrations have a role of their own.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH},
    held as (
      select format('schema %I', n.nspname) as object, acl.grantee, acl.privilege_type as right
        from pg_namespace n, aclexplode(n.nspacl) acl
       where ${ownSchema('n')} and acl.privilege_type = 'CREATE' and acl.grantee <> n.nspowner
      union all
      select format('database %I', d.datname), acl.grantee, acl.privilege_type
        from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) acl
       where d.datname = current_database() and acl.privilege_type in ('CREATE', 'TEMPORARY') and acl.grantee <> d.datdba)
    select h.object, format('%s may create %sobjects in %s', case r.oid when 0 then 'everybody' else quote_ident(r.name) end,
                            case h.right when 'TEMPORARY' then 'temporary ' else '' end, h.object) as message,
           format('revoke %s on %s from %s;', lower(h.right), h.object, case r.oid when 0 then 'public' else quote_ident(r.name) end) as mend
      from held h join reach r on r.oid = h.grantee`,
  fixtures: {
    fires: [
      'grant create on schema public to public',
      'create schema app; grant create on schema app to rowhouse_app',
      `do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$`,
      `do $$ begin execute format('grant create on database %I to rowhouse_app', current_database()); end $$`,
    ],
    quiet: [
      'create schema app; grant usage on schema app to public, rowhouse_app',
      'grant create on schema public to rowhouse_migrator',
    ],
    elsewhere: {
      fires: [`do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$`],
      quiet: [`do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$`],
    },
  },
}
