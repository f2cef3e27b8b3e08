--! rowhouse schema 9: many tenants moved as one, where data may not leave, old homes under legal hold
--
-- Words: docs/guides/moving-tenants.md. Used in the central database.

set local role rowhouse_owner;

-- What was promised of a tenant when it was made, so that a move can be held to it. Null: any region.
alter table rowhouse.tenant
  add column region text check (region ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  add column compliance text[] not null default '{}' check (cardinality(compliance) <= 100);

alter table rowhouse.lifecycle_event drop constraint lifecycle_event_event_check;
alter table rowhouse.lifecycle_event add constraint lifecycle_event_event_check check (event in
  ('suspended', 'resumed', 'plan-changed', 'offboarding', 'offboarding-cancelled', 'retained', 'held', 'lift-requested',
   'lift-withdrawn', 'lifted', 'erasing', 'erased', 'region-changed', 'region-overridden'));

-- Tenants that are moved together. What was asked for stays as it was asked; which tenants that meant, and in which order
-- they go, is decided once, because the same question has another answer when half of them have moved.
create table rowhouse.bulk_move (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  request jsonb not null,
  target jsonb not null,
  concurrency integer not null check (concurrency between 1 and 3),
  max_failures integer not null check (max_failures between 1 and 100000),
  -- What the operator asked for since. A move that is entered later inherits it.
  wish text check (wish in ('pause', 'abort')),
  requested_by text not null check (length(btrim(requested_by)) between 1 and 200),
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  left_out jsonb not null default '[]',
  started_at timestamptz not null default now()
);

create table rowhouse.bulk_move_tenant (
  bulk_name text not null references rowhouse.bulk_move (name) on delete cascade,
  tenant_id uuid not null references rowhouse.tenant (id) on delete cascade,
  position integer not null,
  -- As planned: what the order was made from.
  bytes bigint not null,
  -- Why it could not be moved the last time it was tried.
  error text,
  primary key (bulk_name, tenant_id),
  unique (bulk_name, position)
);
create index bulk_move_tenant_tenant_id_idx on rowhouse.bulk_move_tenant (tenant_id);

alter table rowhouse.move
  add column bulk_name text references rowhouse.bulk_move (name) on delete set null,
  -- Somebody said that this move may take the tenant out of its region.
  add column outside_region boolean not null default false;
create index move_bulk_name_idx on rowhouse.move (bulk_name);

-- An old home is what the tenant was at the switch, with what does not travel: dead rows, large objects, tables outside of
-- the walls. While the tenant is held it stays. The row of the tenant is locked as placing a hold locks it, so that of a hold
-- and a removal one comes first; the removal looks once more whenever it is begun or gone on with.
create function rowhouse.guard_old_home() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from rowhouse.tenant t where t.id = new.tenant_id for no key update;
  if rowhouse.is_held(new.tenant_id) then
    raise exception 'rowhouse: the tenant is under legal hold, and its old home is kept with it'
      using errcode = '55000', constraint = 'rowhouse_tenant_held', hint = 'Two people lift a hold: one asks for it, another one confirms.';
  end if;
  return new;
end
$$;
create trigger guard_old_home before update of state on rowhouse.move
  for each row when (new.state = 'completing' and old.state <> 'completing') execute function rowhouse.guard_old_home();
alter table rowhouse.move enable always trigger guard_old_home;

reset role;
