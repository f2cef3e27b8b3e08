--! rowhouse schema 1: roles, registry, seal
--
-- Runs once, in one transaction, as a role that may create roles and schemas in this database.
-- Words: docs/concepts/glossary.md. Why each wall stands where it stands: SECURITY.md.
-- Nothing in this schema except the view `sealed` and the functions granted below is reachable for the application.

-- Roles are cluster-wide: several databases of one server share them, so each is made only where it is missing.
do $roles$
begin
  if not exists (select from pg_roles where rolname = 'rowhouse_owner') then
    create role rowhouse_owner nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'rowhouse_migrator') then
    create role rowhouse_migrator nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'rowhouse_app') then
    create role rowhouse_app nologin;
  end if;
exception when duplicate_object or unique_violation then
  null; -- another database of this server was installed at the same moment
end
$roles$;

-- Migrations run as the owner, reached with SET ROLE only. From PostgreSQL 16 on, whoever creates a role may administer
-- it but not yet become it; before, CREATEROLE may grant any role but a superuser's.
do $grants$
declare
  may_set text := case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
begin
  if not pg_has_role('rowhouse_migrator', 'rowhouse_owner', may_set) then
    grant rowhouse_owner to rowhouse_migrator;
  end if;
  if not pg_has_role(current_user, 'rowhouse_owner', may_set) then
    execute format('grant rowhouse_owner to %I', current_user);
  end if;
end
$grants$;

-- TEMP would let a session shadow tables (pg_temp comes first in every search path); CREATE in public likewise.
do $database$
begin
  execute format('revoke temporary, create on database %I from public', current_database());
  execute format('grant connect on database %I to rowhouse_app, rowhouse_migrator', current_database());
  execute format('grant create on database %I to rowhouse_owner', current_database());
end
$database$;
revoke create on schema public from public;
grant usage on schema public to rowhouse_app;
grant usage, create on schema public to rowhouse_owner;

create schema rowhouse authorization rowhouse_owner;
revoke all on schema rowhouse from public;
grant usage on schema rowhouse to rowhouse_app, rowhouse_migrator;

set local role rowhouse_owner;

-- Functions are executable by everybody unless said otherwise: say otherwise, for all that the owner will ever make.
alter default privileges for role rowhouse_owner revoke execute on functions from public;

-- What has been applied to this schema; written by the installer, checked at each start.
create table rowhouse.migration (
  version integer primary key,
  name text not null,
  sha256 text not null,
  applied_at timestamptz not null default now()
);

-- Registry: the tenants of the platform. Slugs are never given to a second tenant (see tombstones in SECURITY.md).
create table rowhouse.tenant (
  id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$'),
  name text not null check (length(name) between 1 and 200),
  state text not null default 'active' check (state in ('active', 'suspended')),
  created_at timestamptz not null default now()
);

-- Hosts a tenant has proved to own. Hosts are canonical: lower case, no port, no trailing dot.
create table rowhouse.domain (
  host text primary key check (host = lower(host) and host ~ '^[a-z0-9.-]{1,253}$'),
  tenant_id uuid not null references rowhouse.tenant (id) on delete cascade,
  verified_at timestamptz not null default now()
);
create index domain_tenant_id_idx on rowhouse.domain (tenant_id);

-- API keys: public id and SHA-256 of the secret. Secrets are 256 random bits, so a slow hash would add nothing.
create table rowhouse.api_key (
  id text primary key,
  tenant_id uuid not null references rowhouse.tenant (id) on delete cascade,
  secret_sha256 text not null check (secret_sha256 ~ '^[0-9a-f]{64}$'),
  name text not null,
  units uuid[],
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create index api_key_tenant_id_idx on rowhouse.api_key (tenant_id);

-- The tenants that live in THIS database, each with the two pads of its HMAC key. No login role can read it.
-- The nil tenant is the platform itself: its seal opens the directory and cross-tenant work, and no tenant row.
-- Two key slots, so that a key is replaced while seals of the old one are still accepted.
create table rowhouse.resident (
  tenant_id uuid primary key,
  epoch integer not null default 1 check (epoch between 1 and 999999999),
  state text not null default 'active' check (state in ('active', 'suspended')),
  key_version integer not null check (key_version between 1 and 999999),
  ipad bytea not null check (octet_length(ipad) = 64),
  opad bytea not null check (octet_length(opad) = 64),
  old_key_version integer check (old_key_version between 1 and 999999),
  old_ipad bytea check (octet_length(old_ipad) = 64),
  old_opad bytea check (octet_length(old_opad) = 64)
);

-- The seals accepted now, derived from `resident` by the trigger below and by nothing else: a row per active tenant and
-- key. `stamp` is what a seal says about tenant, epoch and key version, so one index probe decides all three.
-- As conditions of their own they cost 7 µs more per statement; as text, a malformed stamp finds nothing instead of
-- raising another error than a forged one.
-- fillfactor: with few rows per page the planner takes the index from about 20 tenants on instead of scanning them.
create table rowhouse.accepted_stamp (
  stamp text collate "C" primary key check (length(stamp) = 51),
  tenant_id uuid not null references rowhouse.resident (tenant_id) on delete cascade,
  ipad bytea not null,
  opad bytea not null
) with (fillfactor = 10);
create index accepted_stamp_tenant_id_idx on rowhouse.accepted_stamp (tenant_id);

create function rowhouse.accept_stamps() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from rowhouse.accepted_stamp s where s.tenant_id = new.tenant_id;
  if new.state = 'active' then
    insert into rowhouse.accepted_stamp (stamp, tenant_id, ipad, opad)
    select new.tenant_id || lpad(new.epoch::text, 9, '0') || lpad(k.version::text, 6, '0'), new.tenant_id, k.ipad, k.opad
      from (values (new.key_version, new.ipad, new.opad), (new.old_key_version, new.old_ipad, new.old_opad))
           as k (version, ipad, opad)
     where k.version is not null;
  end if;
  return null;
end
$$;
create trigger accept_stamps after insert or update on rowhouse.resident
  for each row execute function rowhouse.accept_stamps();

-- Cross-tenant work, written before it runs.
create table rowhouse.crossing (
  id uuid primary key default gen_random_uuid(),
  opened_at timestamptz not null default clock_timestamp(),
  closed_at timestamptz,
  actor text not null check (length(actor) between 1 and 200),
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  tenants uuid[] not null,
  writes boolean not null,
  outcome text check (outcome in ('done', 'failed'))
);

-- The seal. Layout of the setting `rowhouse.seal`, positions counted from 1:
--   1–64    HMAC-SHA256 of the rest, hex        101–109 epoch         116–125 expiry, Unix seconds
--   65–100  tenant                              110–115 key version   126–    units | actor
-- Units are `*` (all) or uuids joined by commas; the actor comes last, so it may hold any character.
--
-- The view yields one row when stamp, MAC and expiry are right, and none otherwise.
-- security_barrier: no condition of the caller runs before these. CASE: the expiry is parsed only when the MAC vouches
-- for it. date_part, not extract: extract computes in numeric and cost 5 µs per statement.
create view rowhouse.sealed with (security_barrier = true) as
select
  a.tenant_id as id,
  case when substr(current_setting('rowhouse.seal', true), 126, 2) = '*|' then null
       else string_to_array(split_part(substr(current_setting('rowhouse.seal', true), 126), '|', 1), ',')::uuid[]
  end as units,
  nullif(substr(current_setting('rowhouse.seal', true), 127 + strpos(substr(current_setting('rowhouse.seal', true), 127), '|')), '') as actor
from rowhouse.accepted_stamp a
where a.stamp = substr(current_setting('rowhouse.seal', true), 65, 51)
  and case
        when substr(current_setting('rowhouse.seal', true), 1, 64) = encode(sha256(a.opad || sha256(a.ipad
             || convert_to(substr(current_setting('rowhouse.seal', true), 65), 'UTF8'))), 'hex')
        then substr(current_setting('rowhouse.seal', true), 116, 10)::float8 > date_part('epoch', now())
        else false
      end;

grant select on rowhouse.sealed to rowhouse_app;

-- The answer to a statement without a valid seal: an error, never an empty result.
-- `constraint` names the cause for programs; nothing tells a guesser which part of a forged seal was wrong.
create function rowhouse.reject() returns uuid
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(current_setting('rowhouse.seal', true), '') = '' then
    raise exception 'rowhouse: no tenant context'
      using errcode = '42501', constraint = 'rowhouse_context_missing',
            hint = 'Run the statement through withTenant(), rowhouse.db or rowhouse.pool.';
  end if;
  raise exception 'rowhouse: tenant context refused'
    using errcode = '42501', constraint = 'rowhouse_context_refused',
          hint = 'The seal is forged, expired, of an old key or epoch, or its tenant does not live here or is suspended.';
end
$$;

-- Why a context statement may fail before any user statement runs: the tenant is being moved.
create function rowhouse.moving() returns boolean
language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'rowhouse: tenant is being moved'
    using errcode = '55P03', constraint = 'rowhouse_tenant_moving', hint = 'Try again shortly.';
end
$$;

-- Under REPEATABLE READ and SERIALIZABLE the snapshot is older than the lock, so the epoch is read again, locked:
-- a move that committed in between makes this fail with 40001 instead of letting the transaction write to the old home.
create function rowhouse.hold() returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from rowhouse.resident r
    where r.tenant_id = (select s.id from rowhouse.sealed s) for share;
  return found;
end
$$;

-- Default of `tenant_id`: read from the setting unchecked, because it runs per row; the policy's WITH CHECK has the last word.
create function rowhouse.current_tenant_id() returns uuid
language sql stable parallel safe
return nullif(substr(current_setting('rowhouse.seal', true), 65, 36), '')::uuid;

-- Verified context, for defaults, triggers and audits of the application: null without a valid seal.
create function rowhouse.current_actor() returns text
language sql stable parallel safe
return (select s.actor from rowhouse.sealed s);

create function rowhouse.current_units() returns uuid[]
language sql stable parallel safe
return (select s.units from rowhouse.sealed s);

-- Time-ordered UUID (RFC 9562, version 7) for servers before 18, which brings its own.
create function rowhouse.uuidv7() returns uuid
language sql volatile parallel safe
return encode(
  set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;

do $uuid$
begin
  if current_setting('server_version_num')::integer >= 180000 then
    create or replace function rowhouse.uuidv7() returns uuid
    language sql volatile parallel safe
    return pg_catalog.uuidv7();
  end if;
end
$uuid$;

-- True while the context is the platform's own: what the directory and cross-tenant work require, so that
-- SQL injected into a tenant's transaction can neither list tenants nor test names.
create function rowhouse.is_platform() returns boolean
language sql stable parallel safe
return exists (select from rowhouse.sealed s where s.id = '00000000-0000-0000-0000-000000000000'::uuid);

create function rowhouse.require_platform() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not rowhouse.is_platform() then
    raise exception 'rowhouse: platform context required'
      using errcode = '42501', constraint = 'rowhouse_platform_required';
  end if;
end
$$;

-- Finds the tenant that answers to a name. Returns what sealing a context needs and nothing else of any row.
create function rowhouse.find_tenant(kind text, key text, secret_sha256 text default null)
returns table (id uuid, slug text, state text, epoch integer, key_version integer, actor text, units uuid[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform rowhouse.require_platform();
  return query
  with named as (
    select t.id, t.slug, t.state, null::text as actor, null::uuid[] as units
      from rowhouse.tenant t
     where (kind = 'slug' and t.slug = key)
        or (kind = 'id' and t.id = (case when kind = 'id' then key::uuid end))
    union all
    select t.id, t.slug, t.state, null, null
      from rowhouse.domain d join rowhouse.tenant t on t.id = d.tenant_id
     where kind = 'host' and d.host = key
    union all
    select t.id, t.slug, t.state, 'key:' || k.id, k.units
      from rowhouse.api_key k join rowhouse.tenant t on t.id = k.tenant_id
     where kind = 'api-key' and k.id = key and k.secret_sha256 = find_tenant.secret_sha256
       and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
  )
  select n.id, n.slug, n.state, r.epoch, r.key_version, n.actor, n.units
    from named n join rowhouse.resident r on r.tenant_id = n.id;
end
$$;

-- Opens cross-tenant work: writes who, why and over which tenants, then returns them. Read the log with `rowhouse.crossings`.
create function rowhouse.open_crossing(by_actor text, for_reason text, slugs text[], with_writes boolean)
returns table (crossing_id uuid, id uuid, slug text, state text, epoch integer, key_version integer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  chosen uuid[];
  opened uuid;
begin
  perform rowhouse.require_platform();
  select coalesce(array_agg(t.id order by t.slug), '{}') into chosen
    from rowhouse.tenant t
   where t.state = 'active' and (slugs is null or t.slug = any (slugs) or t.id::text = any (slugs));
  if slugs is not null and cardinality(chosen) <> cardinality(slugs) then
    raise exception 'rowhouse: % of % tenants exist and are active', cardinality(chosen), cardinality(slugs)
      using errcode = '42704', constraint = 'rowhouse_crossing_tenants';
  end if;
  insert into rowhouse.crossing (actor, reason, tenants, writes)
  values (by_actor, for_reason, chosen, with_writes) returning crossing.id into opened;
  return query
  select opened, t.id, t.slug, t.state, r.epoch, r.key_version
    from rowhouse.tenant t join rowhouse.resident r on r.tenant_id = t.id
   where t.id = any (chosen) order by t.slug;
end
$$;

create function rowhouse.close_crossing(crossing uuid, how text) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform rowhouse.require_platform();
  update rowhouse.crossing c set closed_at = clock_timestamp(), outcome = how
   where c.id = crossing and c.closed_at is null;
end
$$;

grant execute on function
  rowhouse.reject(), rowhouse.moving(), rowhouse.hold(), rowhouse.current_tenant_id(), rowhouse.current_actor(),
  rowhouse.current_units(), rowhouse.uuidv7(), rowhouse.is_platform(), rowhouse.require_platform(),
  rowhouse.find_tenant(text, text, text), rowhouse.open_crossing(text, text, text[], boolean),
  rowhouse.close_crossing(uuid, text)
to rowhouse_app, rowhouse_migrator;
grant select on rowhouse.sealed to rowhouse_migrator;

reset role;
