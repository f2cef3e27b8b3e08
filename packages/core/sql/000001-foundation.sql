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

-- Migrations run as the owner, reached with SET ROLE only. A superuser needs no grant.
do $grants$
begin
  if not pg_has_role('rowhouse_migrator', 'rowhouse_owner', 'member') then
    grant rowhouse_owner to rowhouse_migrator;
  end if;
  if not pg_has_role(current_user, 'rowhouse_owner', 'member') then
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
-- fillfactor: with a few rows per page the planner takes the index from about 20 tenants on; scanning 50 rows cost 5 µs per statement.
create table rowhouse.resident (
  tenant_id uuid primary key,
  epoch integer not null default 1 check (epoch between 1 and 999999999),
  state text not null default 'active' check (state in ('active', 'suspended')),
  key_version integer not null check (key_version between 1 and 999999),
  ipad bytea not null check (octet_length(ipad) = 64),
  opad bytea not null check (octet_length(opad) = 64),
  old_key_version integer,
  old_ipad bytea check (octet_length(old_ipad) = 64),
  old_opad bytea check (octet_length(old_opad) = 64),
  -- The same facts as a seal writes them. Compared as text, a malformed seal finds nothing; cast, it would be an error
  -- of another SQLSTATE than a forged one.
  tenant_text text collate "C" not null unique generated always as (tenant_id::text) stored,
  epoch_text text collate "C" not null generated always as (lpad(epoch::text, 9, '0')) stored,
  key_text text collate "C" not null generated always as (lpad(key_version::text, 6, '0')) stored,
  old_key_text text collate "C" generated always as (lpad(old_key_version::text, 6, '0')) stored
) with (fillfactor = 10);

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
-- The view yields one row when tenant, epoch, key, expiry and MAC are right, and none otherwise.
-- security_barrier: no condition of the caller runs before these.
create view rowhouse.sealed with (security_barrier = true) as
select
  r.tenant_id as id,
  case when substr(current_setting('rowhouse.seal', true), 126, 2) = '*|' then null
       else string_to_array(split_part(substr(current_setting('rowhouse.seal', true), 126), '|', 1), ',')::uuid[]
  end as units,
  nullif(substr(current_setting('rowhouse.seal', true), 127 + strpos(substr(current_setting('rowhouse.seal', true), 127), '|')), '') as actor
from rowhouse.resident r
where r.tenant_text = substr(current_setting('rowhouse.seal', true), 65, 36)
  and r.state = 'active'
  and r.epoch_text = substr(current_setting('rowhouse.seal', true), 101, 9)
  and substr(current_setting('rowhouse.seal', true), 116, 10) collate "C" > extract(epoch from now())::bigint::text
  and substr(current_setting('rowhouse.seal', true), 1, 64) = encode(
      case substr(current_setting('rowhouse.seal', true), 110, 6)
        when r.key_text then sha256(r.opad || sha256(r.ipad || convert_to(substr(current_setting('rowhouse.seal', true), 65), 'UTF8')))
        when r.old_key_text then sha256(r.old_opad || sha256(r.old_ipad || convert_to(substr(current_setting('rowhouse.seal', true), 65), 'UTF8')))
      end, 'hex');

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
