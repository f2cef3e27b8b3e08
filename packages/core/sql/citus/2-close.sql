-- Citus, on EVERY node: what Citus and PostgreSQL give to everybody and no tenant should have there. Superuser only.
-- Behind each ALTER EXTENSION citus UPDATE again: new functions come open.

do $close$
declare
  open record;
begin
  -- The seal travels to the workers as text behind BEGIN: whoever reads what other backends of the same login run reads
  -- other tenants' seals.
  for open in
    select p.oid::regprocedure as routine from pg_catalog.pg_proc p
     where p.pronamespace = 'pg_catalog'::regnamespace and p.proname in ('pg_stat_get_activity', 'pg_stat_get_backend_activity')
  loop
    execute pg_catalog.format('revoke execute on function %s from public', open.routine);
    execute pg_catalog.format('grant execute on function %s to pg_monitor', open.routine);
  end loop;

  -- Functions of Citus run commands on other nodes and read what other transactions left there. Those its own plans call
  -- in the name of the application stay.
  for open in
    select p.oid::regprocedure as routine
      from pg_catalog.pg_proc p
      join pg_catalog.pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
      join pg_catalog.pg_extension e on e.oid = d.refobjid and e.extname in ('citus', 'citus_columnar')
     where p.proname <> all (array['assign_distributed_transaction_id', 'worker_hash', 'citus_extradata_container',
             'worker_partial_agg', 'worker_partial_agg_sfunc', 'worker_partial_agg_ffunc',
             'coord_combine_agg', 'coord_combine_agg_sfunc', 'coord_combine_agg_ffunc'])
  loop
    execute pg_catalog.format('revoke execute on routine %s from public', open.routine);
    -- Citus moves shards as the owner of their tables.
    execute pg_catalog.format('grant execute on routine %s to rowhouse_owner', open.routine);
  end loop;

  for open in
    select c.oid::regclass as relation
      from pg_catalog.pg_class c
      join pg_catalog.pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
      join pg_catalog.pg_extension e on e.oid = d.refobjid and e.extname in ('citus', 'citus_columnar')
     where c.relkind in ('r', 'v', 'S')
  loop
    execute pg_catalog.format('revoke all on %s from public', open.relation);
    -- pg_dist_authinfo holds passwords.
    if open.relation <> pg_catalog.to_regclass('pg_catalog.pg_dist_authinfo') then
      execute pg_catalog.format('grant select on %s to rowhouse_owner', open.relation);
    end if;
  end loop;
end
$close$;

-- A setting made by a function stays on the cached connection to a worker, which the next tenant gets. Nothing of Rowhouse
-- needs one here: the context is a SET LOCAL.
revoke execute on function pg_catalog.set_config(text, text, boolean) from public;
grant execute on function pg_catalog.set_config(text, text, boolean) to rowhouse_owner;
revoke update on pg_catalog.pg_settings from public;

-- Citus connects from node to node as the owner of the tables. Without a password: pg_hba.conf (or pg_dist_authinfo) lets
-- it in from the cluster's own addresses, and from nowhere else.
alter role rowhouse_owner login;

-- Each flush begins with a ROLLBACK, which warns where there is nothing to roll back.
do $quiet$
begin
  execute pg_catalog.format('alter role rowhouse_app in database %I set log_min_messages = error', pg_catalog.current_database());
end
$quiet$;

-- A node writes shards of its own by COPY without asking their policies, so nobody comes in by a worker: the tables that
-- stand for all shards are the coordinator's to use. What it asks of a worker names shards. Citus grants anew with each
-- GRANT on the coordinator, therefore behind each of them again.
create or replace function rowhouse.close_worker() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set citus.enable_ddl_propagation = off
as $$
declare
  shell record;
begin
  if citus_is_coordinator() then
    return;
  end if;
  for shell in select d.logicalrelid as name from pg_dist_partition d join pg_class c on c.oid = d.logicalrelid loop
    execute format('revoke all on %s from rowhouse_app, public', shell.name);
  end loop;
end
$$;
revoke execute on function rowhouse.close_worker() from public;
select rowhouse.close_worker();
