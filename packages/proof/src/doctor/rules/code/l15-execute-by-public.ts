import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, notOfExtension, ownSchema } from '../policy/own-objects.ts'

export const executeByPublic: Rule = {
  id: 'L15',
  name: 'execute-by-public',
  severity: 'error',
  title: 'Function that everybody may call',
  why: 'PostgreSQL lets everybody call a new function unless told otherwise. A function meant for migrations or for support is then one injected statement away, for every tenant. In a database without Rowhouse the rule names only functions that run with the rights of their owner.',
  remedy:
    'Revoke EXECUTE from PUBLIC and grant it to the roles that call the function. `alter default privileges … revoke execute on functions from public` does it for functions to come.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('routine %s', p.oid::regprocedure) as object,
           format('everybody may call %s%s', p.oid::regprocedure, case when p.prosecdef then ', which runs with the rights of its owner' else '' end) as message,
           format('revoke execute on routine %s from public;%s', p.oid::regprocedure,
                  case when ${INSTALLED} and not p.prosecdef then format(' grant execute on routine %s to rowhouse_app; -- where it calls it', p.oid::regprocedure) else '' end) as mend
      from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace
     where ${ownSchema('n')} and ${notOfExtension('pg_proc', 'p.oid')}
       -- Nobody calls a trigger function: it runs where a trigger names it. A range brings its constructors along.
       and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_type'::regclass and d.deptype = 'i')
       and (${INSTALLED} or p.prosecdef)
       and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl where acl.grantee = 0)`,
  fixtures: {
    fires: [
      'create function purge() returns void language sql as $$ $$',
      `create procedure purge() language sql as $$ $$; revoke all on procedure purge() from public; grant execute on procedure purge() to public`,
    ],
    quiet: [
      'create function purge() returns void language sql as $$ $$; revoke all on function purge() from public; grant execute on function purge() to rowhouse_app',
      'create function stamp() returns trigger language plpgsql as $$ begin return new; end $$',
      'set local role rowhouse_owner; create function purge() returns void language sql as $$ $$',
      'create type span as range (subtype = int)',
    ],
    elsewhere: {
      fires: ['create function purge() returns void language sql security definer as $$ $$'],
      quiet: ['create function purge() returns void language sql as $$ $$'],
    },
  },
}
