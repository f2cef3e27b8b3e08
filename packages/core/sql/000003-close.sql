--! rowhouse schema 3: what PostgreSQL gives to everybody and no tenant should have
--
-- Large objects have no tenant: what one writes, another reads by guessing a number. Backends of one login may cancel and
-- end each other. pg_locks shows the key of each tenant's lock, and whoever knows it can hold it. None of them asks a
-- policy, so the right to use them is what there is to take. Whoever watches a server is a member of pg_monitor.
--
-- These are PostgreSQL's own: only a superuser may take the right away. Where the installer is none, as on most
-- managed servers, it stays, and the doctor says so (rules L30 and L44).

do $close$
declare
  open regprocedure;
begin
  for open in
    select p.oid from pg_catalog.pg_proc p
     where p.pronamespace = 'pg_catalog'::regnamespace
       and p.proname in ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_open', 'lo_put', 'lo_get', 'lo_unlink', 'lo_close', 'loread',
                          'lowrite', 'lo_lseek', 'lo_lseek64', 'lo_tell', 'lo_tell64', 'lo_truncate', 'lo_truncate64',
                          'pg_terminate_backend', 'pg_cancel_backend', 'pg_lock_status')
     order by 1
  loop
    execute pg_catalog.format('revoke execute on function %s from public', open);
  end loop;
  revoke select on pg_catalog.pg_locks from public;
  grant select on pg_catalog.pg_locks to pg_monitor;
  grant execute on function pg_catalog.pg_lock_status() to pg_monitor;
exception when insufficient_privilege then
  raise notice 'rowhouse: % is not a superuser: large objects, pg_locks and pg_terminate_backend stay open to everybody', current_user;
end
$close$;
