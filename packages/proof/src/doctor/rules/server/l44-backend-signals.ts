import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, REACH } from '../policy/own-objects.ts'

export const backendSignals: Rule = {
  id: 'L44',
  name: 'backend-signals',
  severity: 'warning',
  title: 'The application may end the connections of its neighbours',
  why: 'A role may cancel and end all sessions of the same role, and the tenants share the role of the application. One injected call in a loop is an outage for all of them.',
  remedy: 'A superuser revokes the functions from PUBLIC; `rowhouse install` does so where it may.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH}
    select format('function pg_catalog.%I', p.proname) as object,
           format('%s may call %I on the sessions of all tenants', case r.oid when 0 then 'everybody' else r.name end, p.proname) as message,
           format('revoke execute on function pg_catalog.%I(%s) from %s;', p.proname, pg_get_function_identity_arguments(p.oid), case r.oid when 0 then 'public' else quote_ident(r.name) end) as mend
      from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl join reach r on r.oid = acl.grantee
     where p.pronamespace = 'pg_catalog'::regnamespace and p.proname in ('pg_cancel_backend', 'pg_terminate_backend')
       and (${INSTALLED} or exists (select from tenant_table))`,
  fixtures: {
    fires: [
      'grant execute on function pg_terminate_backend(int, bigint) to public',
      'grant execute on function pg_cancel_backend(int) to rowhouse_app',
    ],
    quiet: ['select 1', 'grant execute on function pg_cancel_backend(int) to rowhouse_migrator'],
    elsewhere: {
      fires: ['create table bill (org_id bigint)'],
      quiet: [
        `create table bill (org_id bigint);
revoke execute on function pg_cancel_backend(int), pg_terminate_backend(int, bigint) from public`,
      ],
    },
  },
}
