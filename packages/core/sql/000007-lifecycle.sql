--! rowhouse schema 7: suspension, retention, legal hold, erasure
--
-- Words: docs/guides/tenant-lifecycle.md. Used in the central database. What must never happen (a tenant erased that is
-- held, or before its time, or without a certificate; a name given out twice) is refused here, so that it is refused to
-- every program and to SQL typed by hand. These triggers fire ALWAYS: session_replication_role does not switch them off.
-- Whoever may change the schema can take them away; the doctor says when one is missing.

set local role rowhouse_owner;

-- Why a tenant is suspended. One that was suspended without a cause has no row.
create table rowhouse.suspension (
  tenant_id uuid primary key references rowhouse.tenant (id) on delete cascade,
  kind text not null check (kind in ('unpaid', 'abuse', 'request', 'security', 'other')),
  cause text not null check (length(btrim(cause)) between 3 and 1000),
  suspended_by text not null check (length(btrim(suspended_by)) between 1 and 200),
  since timestamptz not null default clock_timestamp()
);

-- A tenant that leaves. The clock runs once `retain_until` is set, which is after the export.
create table rowhouse.offboarding (
  tenant_id uuid primary key references rowhouse.tenant (id) on delete cascade,
  run uuid not null,
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  requested_by text not null check (length(btrim(requested_by)) between 1 and 200),
  requested_at timestamptz not null default clock_timestamp(),
  export_reference text check (length(export_reference) between 1 and 2000),
  retain_until timestamptz
);

-- What was done to tenants, by whom. Free text is dropped when the tenant is erased; the rest stays.
create table rowhouse.lifecycle_event (
  id bigint generated always as identity primary key,
  tenant_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null check (length(btrim(actor)) between 1 and 200),
  event text not null check (event in
    ('suspended', 'resumed', 'plan-changed', 'offboarding', 'offboarding-cancelled', 'retained', 'held', 'lift-requested',
     'lift-withdrawn', 'lifted', 'erasing', 'erased')),
  detail text
);
create index lifecycle_event_tenant_id_idx on rowhouse.lifecycle_event (tenant_id);

-- Holds. No reference to the tenant: what was held, by whom and why outlives it.
create table rowhouse.legal_hold (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null,
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  placed_by text not null check (length(btrim(placed_by)) between 1 and 200),
  since timestamptz not null default clock_timestamp(),
  lift_reason text check (length(btrim(lift_reason)) between 3 and 1000),
  lift_requested_by text check (length(btrim(lift_requested_by)) between 1 and 200),
  lift_requested_at timestamptz,
  lifted_by text check (length(btrim(lifted_by)) between 1 and 200),
  lifted_at timestamptz,
  check ((lift_requested_by is null) = (lift_requested_at is null) and (lift_requested_by is null) = (lift_reason is null)),
  check ((lifted_by is null) = (lifted_at is null)),
  check (lifted_by is null or lift_requested_by is not null)
);
create index legal_hold_tenant_id_idx on rowhouse.legal_hold (tenant_id);

-- An erasure, from the moment it may begin. Done when it has its certificate.
create table rowhouse.erasure (
  tenant_id uuid primary key,
  slug_digest text not null check (slug_digest ~ '^[0-9a-f]{64}$'),
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  requested_by text not null check (length(btrim(requested_by)) between 1 and 200),
  before_retention_ended boolean not null,
  began_at timestamptz not null default clock_timestamp(),
  -- What there was to erase, counted before the first row went.
  found jsonb,
  certificate jsonb,
  sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
  hmac text check (hmac ~ '^[0-9a-f]{64}$'),
  check ((certificate is null) = (sha256 is null) and (certificate is null) = (hmac is null))
);

-- Names of erased tenants, as digests: enough to refuse a name that comes again, too little to list who was here. The
-- pepper keeps a copy of this table alone from being tried against a list of names.
create table rowhouse.tombstone_pepper (
  only_one boolean primary key default true check (only_one),
  pepper text not null
);
insert into rowhouse.tombstone_pepper (pepper) values (gen_random_uuid()::text || gen_random_uuid()::text);

create table rowhouse.tombstone (
  digest text primary key check (digest ~ '^[0-9a-f]{64}$'),
  kind text not null check (kind in ('slug', 'domain')),
  since date not null default current_date
);

create function rowhouse.tombstone_digest(kind text, name text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (select encode(sha256(convert_to(p.pepper || '|' || kind || '|' || name, 'UTF8')), 'hex') from rowhouse.tombstone_pepper p);

-- Says it as the unique index does, so that whoever asks cannot tell a name that is in use from one that was.
create function rowhouse.refuse_tombstone() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from rowhouse.tombstone t where t.digest = rowhouse.tombstone_digest(tg_argv[0], to_jsonb(new) ->> tg_argv[1])) then
    raise exception 'rowhouse: the name belonged to another tenant'
      using errcode = '23505', schema = tg_table_schema, table = tg_table_name, constraint = tg_argv[2];
  end if;
  return new;
end
$$;
create trigger refuse_tombstone before insert or update of slug on rowhouse.tenant
  for each row execute function rowhouse.refuse_tombstone('slug', 'slug', 'tenant_slug_key');
create trigger refuse_tombstone before insert or update of host on rowhouse.domain
  for each row execute function rowhouse.refuse_tombstone('domain', 'host', 'domain_pkey');

create function rowhouse.is_held(tenant uuid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return exists (select from rowhouse.legal_hold h where h.tenant_id = tenant and h.lifted_at is null);

-- A held tenant loses neither its row nor its placement, nor becomes erased.
create function rowhouse.guard_held() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_level = 'STATEMENT' then
    if exists (select from rowhouse.legal_hold h where h.lifted_at is null) then
      raise exception 'rowhouse: % holds tenants under legal hold', tg_table_name
        using errcode = '55000', constraint = 'rowhouse_tenant_held';
    end if;
    return null;
  end if;
  if rowhouse.is_held((to_jsonb(old) ->> tg_argv[0])::uuid) then
    raise exception 'rowhouse: the tenant is under legal hold'
      using errcode = '55000', constraint = 'rowhouse_tenant_held', hint = 'Two people lift a hold: one asks for it, another one confirms.';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end
$$;
create trigger guard_held_delete before delete on rowhouse.tenant
  for each row execute function rowhouse.guard_held('id');
create trigger guard_held_erase before update on rowhouse.tenant
  for each row when (new.state = 'erased' or new.id <> old.id) execute function rowhouse.guard_held('id');
create trigger guard_held_truncate before truncate on rowhouse.tenant
  for each statement execute function rowhouse.guard_held();
create trigger guard_held_delete before delete on rowhouse.placement
  for each row execute function rowhouse.guard_held('tenant_id');
create trigger guard_held_take before update on rowhouse.placement
  for each row when (new.tenant_id <> old.tenant_id) execute function rowhouse.guard_held('tenant_id');
create trigger guard_held_truncate before truncate on rowhouse.placement
  for each statement execute function rowhouse.guard_held();

-- Holds are placed, asked to be lifted by one person and lifted by another, and never deleted.
create function rowhouse.guard_hold() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op in ('DELETE', 'TRUNCATE') then
    raise exception 'rowhouse: a legal hold is lifted, not deleted'
      using errcode = '55000', constraint = 'rowhouse_tenant_held', hint = 'Two people lift a hold: one asks for it, another one confirms.';
  end if;
  if tg_op = 'INSERT' then
    -- Written and not only locked: waits for a batch that is being erased, whose successor finds the hold; and a transaction
    -- with an older snapshot cannot delete what it does not know to be held.
    update rowhouse.placement p set changed_at = p.changed_at where p.tenant_id = new.tenant_id;
    update rowhouse.tenant t set name = t.name where t.id = new.tenant_id and t.state <> 'erased';
    if not found or new.lift_requested_by is not null or new.lifted_by is not null then
      raise exception 'rowhouse: a legal hold begins on a tenant that is there, and begins unlifted'
        using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
    end if;
    new.since := clock_timestamp();
    return new;
  end if;
  if old.lifted_at is not null
     or (new.id, new.tenant_id, new.reason, new.placed_by, new.since) is distinct from (old.id, old.tenant_id, old.reason, old.placed_by, old.since) then
    raise exception 'rowhouse: what a legal hold says is not changed'
      using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
  end if;
  if new.lifted_by is null then
    -- Asked for, or withdrawn.
    new.lift_requested_at := case when new.lift_requested_by is not null then clock_timestamp() end;
    return new;
  end if;
  if old.lift_requested_by is null or (new.lift_requested_by, new.lift_requested_at, new.lift_reason) is distinct from
       (old.lift_requested_by, old.lift_requested_at, old.lift_reason) then
    raise exception 'rowhouse: nobody has asked for this legal hold to be lifted'
      using errcode = '55000', constraint = 'rowhouse_lift_not_requested';
  end if;
  if lower(btrim(new.lifted_by)) = lower(btrim(old.lift_requested_by)) then
    raise exception 'rowhouse: who asked for a legal hold to be lifted does not confirm it'
      using errcode = '55000', constraint = 'rowhouse_same_person';
  end if;
  new.lifted_at := clock_timestamp();
  return new;
end
$$;
create trigger guard_hold before insert or update or delete on rowhouse.legal_hold
  for each row execute function rowhouse.guard_hold();
create trigger guard_hold_truncate before truncate on rowhouse.legal_hold
  for each statement execute function rowhouse.guard_hold();

-- An erasure begins when the tenant has left, its time is over or somebody said why not to wait, and nothing holds it. It
-- is never taken back, and its certificate is written once.
create function rowhouse.guard_erasure() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  until timestamptz;
begin
  if tg_op in ('DELETE', 'TRUNCATE') or tg_op = 'UPDATE' and (old.certificate is not null
       or (new.tenant_id, new.slug_digest, new.reason, new.requested_by, new.before_retention_ended, new.began_at)
          is distinct from (old.tenant_id, old.slug_digest, old.reason, old.requested_by, old.before_retention_ended, old.began_at)) then
    raise exception 'rowhouse: the record of an erasure is not changed'
      using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
  end if;
  if tg_op = 'UPDATE' then
    return new;
  end if;
  perform from rowhouse.tenant t where t.id = new.tenant_id and t.state = 'offboarding' for no key update;
  if not found then
    raise exception 'rowhouse: only a tenant that is offboarding is erased'
      using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
  end if;
  if rowhouse.is_held(new.tenant_id) then
    raise exception 'rowhouse: the tenant is under legal hold'
      using errcode = '55000', constraint = 'rowhouse_tenant_held', hint = 'Two people lift a hold: one asks for it, another one confirms.';
  end if;
  select o.retain_until into until from rowhouse.offboarding o where o.tenant_id = new.tenant_id;
  if until is null or until > clock_timestamp() and not new.before_retention_ended then
    raise exception 'rowhouse: the tenant is retained until %', coalesce(until::text, 'its export has ended')
      using errcode = '55000', constraint = 'rowhouse_tenant_retained';
  end if;
  new.began_at := clock_timestamp();
  return new;
end
$$;
create trigger guard_erasure before insert or update or delete on rowhouse.erasure
  for each row execute function rowhouse.guard_erasure();
create trigger guard_erasure_truncate before truncate on rowhouse.erasure
  for each statement execute function rowhouse.guard_erasure();

-- Erased is what has a certificate; and who is being erased comes back no more.
create function rowhouse.guard_state() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.state = 'erased' and not exists (select from rowhouse.erasure e where e.tenant_id = new.id and e.certificate is not null) then
    raise exception 'rowhouse: a tenant becomes erased with its certificate only'
      using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
  end if;
  if old.state = 'offboarding' and new.state = 'suspended' and exists (select from rowhouse.erasure e where e.tenant_id = new.id) then
    raise exception 'rowhouse: the tenant is being erased'
      using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
  end if;
  return new;
end
$$;
create trigger guard_state before update of state on rowhouse.tenant
  for each row execute function rowhouse.guard_state();

-- What was said of a state goes with it, whoever changes it.
create function rowhouse.leave_state() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.state = 'active' then
    delete from rowhouse.suspension s where s.tenant_id = new.id;
  end if;
  if old.state = 'offboarding' then
    delete from rowhouse.offboarding o where o.tenant_id = new.id;
  end if;
  return null;
end
$$;
create trigger leave_state after update of state on rowhouse.tenant
  for each row when (old.state <> new.state) execute function rowhouse.leave_state();

do $always$
declare
  own record;
begin
  for own in
    select t.tgname, t.tgrelid::regclass as target from pg_trigger t
     where not t.tgisinternal and t.tgrelid in ('rowhouse.tenant'::regclass, 'rowhouse.placement'::regclass, 'rowhouse.domain'::regclass,
                                                'rowhouse.legal_hold'::regclass, 'rowhouse.erasure'::regclass)
       and (t.tgname ~ '^guard_' or t.tgname in ('refuse_tombstone', 'check_lifecycle'))
  loop
    execute format('alter table %s enable always trigger %I', own.target, own.tgname);
  end loop;
end
$always$;

reset role;
