-- Citus, on EVERY node, behind the ordinary files and as often as they are installed: what differs where tables are
-- distributed. Applied with citus.enable_ddl_propagation = off, node by node. Why: docs/decisions/0008-citus.md.

set local role rowhouse_owner;

-- Citus refuses sub-selects in policies. With `tenant_id = …` in the statement it is evaluated once per shard, otherwise
-- once per scan of the index. The cost keeps the planner from calling it per row where it has the choice.
-- Never IMMUTABLE: it would be folded into cached plans, which serve the next tenant.
create or replace function rowhouse.tenant_id() returns uuid
language plpgsql stable parallel safe cost 1000
as $$
declare
  found uuid;
begin
  select s.id into found from rowhouse.sealed s where s.home is null;
  if found is null then
    return rowhouse.reject();
  end if;
  return found;
end
$$;

create or replace function rowhouse.sees_unit(unit uuid) returns boolean
language plpgsql stable parallel safe cost 1000
as $$
declare
  seen boolean;
begin
  select s.units is null or unit operator(pg_catalog.=) any (s.units) into seen from rowhouse.sealed s;
  return coalesce(seen, false);
end
$$;

-- The context. SET LOCAL, because set_config() stays on this node; Citus repeats it behind the BEGIN of each worker, after
-- this function has looked at the seal itself: an error of a worker comes without the name of its constraint, by which
-- the library tells a stale placement from a forged seal. Each command here has a snapshot of its own: the seal is read
-- behind the lock.
create or replace function rowhouse.enter(lock_key bigint, seal text, timeout_ms text default '', read_only boolean default false)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_unlock_all();
  if not pg_try_advisory_xact_lock_shared(lock_key) then
    perform rowhouse.moving();
  end if;
  execute format('set local rowhouse.seal = %L', seal);
  if not exists (select from rowhouse.sealed) then
    perform rowhouse.reject();
  end if;
  if timeout_ms <> '' then
    execute format('set local statement_timeout = %L', timeout_ms);
  end if;
  if read_only then
    set local transaction_read_only = on;
  elsif current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        and current_setting('transaction_read_only') = 'off' then
    perform rowhouse.hold();
  end if;
end
$$;

grant execute on function
  rowhouse.tenant_id(), rowhouse.sees_unit(uuid), rowhouse.enter(bigint, text, text, boolean)
to rowhouse_app, rowhouse_migrator;

-- ONE permissive policy that says everything: Citus makes restrictive policies permissive on the shards, and a further
-- permissive one opens the table. Its name tells whether units are limited.
create or replace function rowhouse.tenant_condition(schema_name text) returns text
language sql immutable
return 'tenant_id = rowhouse.tenant_id()';

create or replace function rowhouse.unit_condition() returns text
language sql immutable
return 'tenant_id = rowhouse.tenant_id() and rowhouse.sees_unit(unit_id)';

create or replace function rowhouse.canonical_policies(schema_name text, unit_scope boolean)
returns table (name text, permissive boolean, condition text)
language sql stable
begin atomic
  select case when unit_scope then 'rowhouse_unit' else 'rowhouse_tenant' end, true,
         case when unit_scope then rowhouse.unit_condition() else rowhouse.tenant_condition(schema_name) end;
end;

create or replace function rowhouse.deparsed(condition text) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return case condition
    when rowhouse.unit_condition() then '((tenant_id = rowhouse.tenant_id()) AND rowhouse.sees_unit(unit_id))'
    else '(tenant_id = rowhouse.tenant_id())'
  end;
end
$$;

-- As on other servers, one command at a time, as Citus sends them to the workers; and what is left of the policies of the other kind goes: a second permissive policy opens the table.
create or replace function rowhouse.plan_protect(target regclass, unit_scope boolean default false)
returns table (step bigint, kind text, code text, message text, statement text)
language sql stable
begin atomic
  select row_number() over (order by p.part, p.place, p.line), p.kind, p.code, p.message, p.statement from (
    select 1 as part, r.place, f.line, f.kind, f.code, f.message, f.statement
      from rowhouse.with_children(target) with ordinality r (relation, place),
           lateral rowhouse.protect_faults(r.relation, unit_scope) with ordinality f (kind, code, message, statement, line)
    union all
    select 2, 1, 1, o.kind, o.code, o.message, o.statement from rowhouse.open_parents(target) o
    union all
    select 3, r.place, c.line * 100 + one.line, 'change', c.code, c.message, one.command || ';'
      from rowhouse.with_children(target) with ordinality r (relation, place)
      join pg_class k on k.oid = r.relation and k.relkind in ('r', 'p') and not rowhouse.is_reserved(r.relation),
           lateral rowhouse.protect_changes(r.relation, unit_scope) with ordinality c (code, message, statement, line),
           lateral regexp_split_to_table(rtrim(c.statement, '; '), ';\s+') with ordinality one (command, line)
     where exists (select from pg_attribute a where a.attrelid = r.relation and a.attname = 'tenant_id' and not a.attisdropped)
    union all
    -- protect_changes() says so itself where unit scope was taken back.
    select 4, r.place, 1, 'change', 'policy', format('no policy %I beside the one on %s', o.polname, r.relation),
           format('drop policy %I on %s;', o.polname, r.relation)
      from rowhouse.with_children(target) with ordinality r (relation, place)
      join pg_policy o on o.polrelid = r.relation and o.polname in ('rowhouse_tenant', 'rowhouse_wall', 'rowhouse_unit')
     where o.polname <> case when unit_scope then 'rowhouse_unit' else 'rowhouse_tenant' end
       and (unit_scope or o.polname <> 'rowhouse_unit')
  ) p;
end;

create or replace function rowhouse.assert_walled(schema_name text, tables text[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  open text;
begin
  select string_agg(quote_ident(c.relname), ', ' order by c.relname) into open
    from pg_class c
   where c.relnamespace = to_regnamespace(quote_ident(schema_name)) and c.relname = any (tables) and c.relkind in ('r', 'p')
     and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
     and not (c.relrowsecurity and c.relforcerowsecurity and c.relowner = 'rowhouse_owner'::regrole
              and (select count(*) = 1 and bool_and(p.polname in ('rowhouse_tenant', 'rowhouse_unit')) from pg_policy p where p.polrelid = c.oid));
  if open is not null then
    raise exception 'rowhouse: % in "%" is not protected after the migration', open, schema_name
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
end
$$;

-- Who lives here is a local table on every node: a reference table cannot be read inside a query of a shard. What the
-- coordinator's says is written to all others at the end of the transaction that changed it, behind the lock of a move.
-- Over connections of their own: what was written there stays when this transaction fails, and the same change made again
-- makes them equal. A node that does not answer fails the transaction.
create or replace function rowhouse.spread_resident() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  here rowhouse.resident;
  command text;
  failed text;
begin
  if not citus_is_coordinator() then
    return null;
  end if;
  select r.* into here from rowhouse.resident r where r.tenant_id = coalesce(new.tenant_id, old.tenant_id);
  command := case when here.tenant_id is null
    then format('delete from rowhouse.resident where tenant_id = %L', old.tenant_id)
    else format('select rowhouse.admit_residents(%L)', json_build_array(here)) end;
  select string_agg(format('%s:%s: %s', w.nodename, w.nodeport, w.result), '; ') into failed
    from run_command_on_workers(command) w where not w.success;
  if failed is not null then
    raise exception 'rowhouse: not every node of the server learned who lives here: %', failed
      using errcode = '58000', hint = 'Make the same change again when they answer.';
  end if;
  return null;
end
$$;

-- Makes rows of `resident` what they are on the coordinator.
create or replace function rowhouse.admit_residents(wanted json) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into rowhouse.resident
  select w.* from json_populate_recordset(null::rowhouse.resident, wanted) w
  on conflict (tenant_id) do update set
    epoch = excluded.epoch, state = excluded.state, home = excluded.home,
    key_version = excluded.key_version, ipad = excluded.ipad, opad = excluded.opad,
    old_key_version = excluded.old_key_version, old_ipad = excluded.old_ipad, old_opad = excluded.old_opad;
end
$$;

drop trigger if exists spread_resident on rowhouse.resident;
create constraint trigger spread_resident after insert or update or delete on rowhouse.resident
  deferrable initially deferred for each row execute function rowhouse.spread_resident();

reset role;
