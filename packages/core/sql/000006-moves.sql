--! rowhouse schema 6: tenants that move while they work
--
-- One mechanism for every pair of placements, in one database or between servers of different majors: the keys of rows
-- the tenant changes are captured where it lives, in the transaction that changes them; the mover copies the rows as they
-- are now, by key, until nothing is left. Why not logical replication: docs/decisions/0012-key-capture.md.

set local role rowhouse_owner;

-- `fenced`: the tenant's rows are here and nobody may touch them, because they are about to be, or are by now, elsewhere.
alter table rowhouse.resident drop constraint resident_state_check;
alter table rowhouse.resident add constraint resident_state_check check (state in ('active', 'suspended', 'fenced'));
-- Who fenced it: whoever lets the tenant in again must have said so last.
alter table rowhouse.resident add column fenced_by uuid;

-- Set while requests of the tenant should wait instead of failing: the cut is near.
alter table rowhouse.placement add column moving_since timestamptz;

-- Moves, in the central database. One at a time per tenant: until it is completed, aborted or reverted.
create table rowhouse.move (
  id uuid primary key,
  tenant_id uuid not null references rowhouse.tenant (id) on delete cascade,
  state text not null check (state in
    ('planned', 'preparing', 'copying', 'catching-up', 'cutting', 'switched', 'reverting', 'completing', 'aborting',
     'completed', 'aborted', 'reverted')),
  source jsonb not null,
  target jsonb not null,
  -- The epoch the tenant had before; it gets the next one with the switch, and the one after that with a revert.
  epoch integer not null,
  -- What the operator asked for since: the mover looks between two batches.
  wish text check (wish in ('pause', 'abort')),
  progress jsonb not null default '{}',
  requested_by text not null check (length(requested_by) between 1 and 200),
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  error text,
  started_at timestamptz not null default now(),
  switched_at timestamptz,
  changed_at timestamptz not null default now()
);
create unique index move_open_idx on rowhouse.move (tenant_id)
  where state not in ('completed', 'aborted', 'reverted');

-- Keys of rows that changed where a tenant is moving away from. Written by triggers, read and emptied by the mover.
create table rowhouse.captured_key (
  move_id uuid not null,
  id bigint generated always as identity,
  table_name text not null,
  key jsonb not null,
  primary key (move_id, id)
);

-- Runs as the owner, who alone may write captured keys. Arguments: the move, the table (a partition's
-- trigger would name the partition), then the columns of the primary key.
create function rowhouse.capture_key() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  before jsonb;
  after jsonb;
begin
  if tg_op <> 'INSERT' then
    select jsonb_object_agg(k, row_was -> k) into before
      from to_jsonb(old) row_was, unnest(tg_argv[2:tg_nargs - 1]) k;
  end if;
  if tg_op <> 'DELETE' then
    select jsonb_object_agg(k, row_is -> k) into after
      from to_jsonb(new) row_is, unnest(tg_argv[2:tg_nargs - 1]) k;
  end if;
  insert into rowhouse.captured_key (move_id, table_name, key)
  select distinct tg_argv[0]::uuid, tg_argv[1], k from (values (before), (after)) v (k) where k is not null;
  return null;
end
$$;

-- A truncation names no rows, so no key could be captured.
create function rowhouse.refuse_truncate() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'rowhouse: %.% cannot be truncated while a tenant moves', tg_table_schema, tg_table_name
    using errcode = '55006', constraint = 'rowhouse_move_capture', hint = 'Delete the rows, or wait for the move.';
end
$$;

-- Finds the tenant that answers to a name, and where it lives. As before, and whether it is being moved right now.
drop function rowhouse.find_tenant(text, text, text);
create function rowhouse.find_tenant(kind text, key text, secret_sha256 text default null)
returns table (id uuid, slug text, state text, epoch integer, key_version integer, server text, model text,
               database_name text, schema_name text, plan text, actor text, units uuid[], moving boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform rowhouse.require_platform();
  return query
  with named as (
    select t.id, t.slug, t.state, t.plan, null::text as actor, null::uuid[] as units
      from rowhouse.tenant t
     where (kind = 'slug' and t.slug = key)
        or (kind = 'id' and t.id = (case when kind = 'id' then key::uuid end))
    union all
    select t.id, t.slug, t.state, t.plan, null, null
      from rowhouse.domain d join rowhouse.tenant t on t.id = d.tenant_id
     where kind = 'host' and d.host = key
    union all
    select t.id, t.slug, t.state, t.plan, 'key:' || k.id, k.units
      from rowhouse.api_key k join rowhouse.tenant t on t.id = k.tenant_id
     where kind = 'api-key' and k.id = key and k.secret_sha256 = find_tenant.secret_sha256
       and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
  )
  select n.id, n.slug, n.state, p.epoch, p.key_version, p.server, p.model, p.database_name, p.schema_name, n.plan, n.actor, n.units,
         p.moving_since is not null
    from named n join rowhouse.placement p on p.tenant_id = n.id
   -- What is being made, kept in reserve or gone answers to no name.
   where kind = 'id' or n.state in ('active', 'suspended');
end
$$;
grant execute on function rowhouse.find_tenant(text, text, text) to rowhouse_app, rowhouse_migrator;

reset role;
