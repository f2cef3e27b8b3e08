import { type Rule, SURVEYED } from '../../rule.ts'

/** No login is left that policies do not bind; undone with the fixture's transaction. */
const NOBODY = `do $$ declare login text; begin
  for login in select rolname from pg_roles where rolcanlogin and (rolsuper or rolbypassrls) loop
    execute format('alter role %I nologin', login);
  end loop;
end $$`

export const moveCapacity: Rule = {
  id: 'L43',
  name: 'move-capacity',
  severity: 'warning',
  title: 'Server that cannot take part in a move',
  why: 'A move, a backup and an erasure read and write the rows of a tenant past the walls, without firing triggers of the application a second time. Without a login that may, they are refused with ERR_PRIVILEGE_MISSING, and a tenant that is too large for its server has nowhere to go. That is best known before it is needed.',
  remedy:
    "Give the operator's login BYPASSRLS, the role `rowhouse_owner` and SET on `session_replication_role`, or log in as a superuser; never the application's.",
  applies: 'installed',
  sinceSchema: 6,
  sql: `with ${SURVEYED}
    select 'server' as object,
           'no login may move tenants: wanted a superuser, or one with BYPASSRLS, SET on session_replication_role and the role rowhouse_owner' as message,
           null as mend
     where not exists (
       select from pg_roles r
        where r.rolcanlogin and (r.rolsuper or r.rolbypassrls and has_parameter_privilege(r.oid, 'session_replication_role', 'SET')
                                               and pg_has_role(r.oid, 'rowhouse_owner', 'MEMBER')))`,
  fixtures: {
    fires: [
      NOBODY,
      `${NOBODY};
create role half login bypassrls; grant rowhouse_owner to half`,
    ],
    quiet: [
      'select 1',
      `${NOBODY};
create role mover login bypassrls; grant rowhouse_owner to mover; grant set on parameter session_replication_role to mover`,
    ],
  },
}
