--! rowhouse schema 5: which migrations ran where
--
-- Words: docs/guides/fleet-migrations.md. A *home* is where migrations run: the shared tables of a database (''), or a
-- tenant's schema. The ledger of the database a home lies in decides what ran there; `fleet_home` in the central database
-- is what the fleet last heard of it, so that a deployment that changes nothing asks one database and not ten thousand.

set local role rowhouse_owner;

-- The ledger. Written in the transaction of the migration. Home `*` stands for the reference tables of this database: they
-- are there once, for all its homes, and the first home that needs them makes them.
create table rowhouse.applied_migration (
  home text not null default '' check (home in ('', '*') or rowhouse.is_home(home)),
  id text not null,
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  applied_at timestamptz not null default now(),
  ms integer not null default 0,
  primary key (home, id)
);

-- How far a migration came that no transaction may hold (CREATE INDEX CONCURRENTLY). A row without `finished_at` is a
-- statement that was running when the process ended.
create table rowhouse.migration_progress (
  home text not null,
  id text not null,
  statement integer not null check (statement >= 0),
  sha256 text not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  primary key (home, id, statement)
);

-- Homes that no migration may change until then: what copies their tables needs them to stay as they are.
create table rowhouse.ddl_freeze (
  home text primary key check (home = '' or rowhouse.is_home(home)),
  token uuid not null default gen_random_uuid(),
  reason text not null check (length(btrim(reason)) between 3 and 1000),
  held_by text not null check (length(held_by) between 1 and 200),
  until timestamptz not null
);

-- As before, with two plans instead of three: a plan asks the catalogs about thirty questions.
create or replace function rowhouse.protect(target regclass, unit_scope boolean default false) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  found text;
  statements text[];
  change text;
begin
  select string_agg(format('%s: %s%s', p.code, p.message, coalesce(E'\n    mend: ' || p.statement, '')), E'\n  ' order by p.step)
           filter (where p.kind = 'fault'),
         coalesce(array_agg(p.statement order by p.step) filter (where p.kind = 'change'), '{}')
    into found, statements
    from rowhouse.plan_protect(target, unit_scope) p;
  if found is not null then
    raise exception E'rowhouse: % cannot be a tenant table yet:\n  %', target, found
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
  foreach change in array statements loop
    execute change;
  end loop;
  if statements = '{}' then
    return 0;
  end if;
  -- REVOKE and GRANT of somebody without the right to them only warn; a wall is believed when it is seen.
  select string_agg(p.statement, E'\n  ' order by p.step) into found
    from rowhouse.plan_protect(target, unit_scope) p where p.kind = 'change';
  if found is not null then
    raise exception E'rowhouse: % is not protected, because these had no effect for role "%":\n  %', target, current_user, found
      using errcode = '42501', hint = 'Run them as the owner of the schema or as whoever granted the rights.';
  end if;
  return cardinality(statements);
end
$$;

-- What is left to check where those statements were run again: each tenant table of them stands behind its walls.
create function rowhouse.assert_walled(schema_name text, tables text[]) returns void
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
              and 2 = (select count(*) from pg_policy p where p.polrelid = c.oid and p.polname in ('rowhouse_tenant', 'rowhouse_wall')));
  if open is not null then
    raise exception 'rowhouse: % in "%" is not protected after the migration', open, schema_name
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
end
$$;

-- What a migrator has to know of a home before it begins, in one answer: is it there, is it empty, what ran in it, is it
-- frozen, which versions are these, and is the login bound by policies.
create function rowhouse.home_state(schema_name text) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  own_home constant text := case when schema_name = 'public' then '' else schema_name end;
  space constant regnamespace := to_regnamespace(quote_ident(schema_name));
  ledger jsonb;
begin
  select coalesce(jsonb_agg(jsonb_build_object('home', a.home, 'id', a.id, 'sha256', a.sha256) order by a.applied_at, a.id), '[]') into ledger
    from rowhouse.applied_migration a where a.home in (own_home, '*');
  return jsonb_build_object(
    'there', space is not null,
    'ledger', ledger,
    -- By what depends on the schema: pg_class has no index by schema, and holds the relations of all tenants.
    'empty', not jsonb_path_exists(ledger, '$[*] ? (@.home != "*")') and not exists (
      select from pg_depend d join pg_class c on c.oid = d.objid
       where d.refclassid = 'pg_namespace'::regclass and d.refobjid = space and d.classid = 'pg_class'::regclass and c.relkind in ('r', 'p')),
    'freeze', (select to_jsonb(f) from rowhouse.ddl_freeze f where f.home = own_home and f.until > now()),
    'installation', current_setting('server_version_num') || ' ' || (select max(m.version) from rowhouse.migration m)
                    || coalesce((select ' citus' from pg_extension where extname = 'citus'), ''),
    'bypasses', (select r.rolsuper or r.rolbypassrls and pg_has_role(session_user, 'rowhouse_owner', 'usage') from pg_roles r where r.rolname = session_user));
end
$$;

-- Protects the tables of a home that a migration made or changed; names of tables that are not there, or that belong to
-- no tenant, are passed over. Unit scope is kept where the migration asked for it. Returns the statements it ran: after
-- the same migration they do the same in the next home, where nothing but the name of the schema differs.
create function rowhouse.protect_home(schema_name text, tables text[]) returns text[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  own record;
  plan text[];
  change text;
  ungranted text;
  ran text[] := '{}';
begin
  for own in
    select c.oid::regclass as target, c.relname, c.relforcerowsecurity as walled,
           exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'rowhouse_unit') as unit_scope
      from pg_class c
     where c.relnamespace = to_regnamespace(quote_ident(schema_name)) and c.relname = any (tables) and c.relkind in ('r', 'p')
       and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
     order by c.oid
  loop
    -- A column that was added, the most frequent of all migrations, needs one grant and not all of them again.
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into ungranted
      from pg_attribute a
     where own.walled and a.attrelid = own.target and a.attnum > 0 and not a.attisdropped and a.attname <> 'tenant_id'
       and a.attgenerated = '' and a.attidentity <> 'a' and a.attacl is null;
    if ungranted is not null then
      change := format('grant update (%s) on %s to rowhouse_app;', ungranted, own.target);
      execute change;
      ran := ran || change;
    end if;
    select coalesce(array_agg(p.statement order by p.step) filter (where p.kind = 'change'), '{}') into plan
      from rowhouse.plan_protect(own.target, own.unit_scope) p
     -- A foreign key that binds new rows only is the first of two migrations; the second validates it. The doctor tells
     -- of those that are forgotten. A table that is not walled yet has no such excuse.
    having count(*) filter (where p.kind = 'fault' and not (own.walled and p.code = 'foreign-key-not-valid')) = 0;
    if plan is null then
      perform rowhouse.protect(own.target, own.unit_scope);
    end if;
    foreach change in array plan loop
      execute change;
    end loop;
    perform rowhouse.assert_walled(schema_name, array[own.relname::text]);
    ran := ran || plan;
  end loop;
  return ran;
end
$$;

-- The search path of a tenant's schema ends in public, where the reference tables are. What the schema lacks would be
-- found there instead, and a migration meant for one tenant would change the tables of all others.
create function rowhouse.assert_own(schema_name text, names text[]) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  strays text;
begin
  if cardinality(names) = (select count(*) from pg_class c where c.relnamespace = to_regnamespace(quote_ident(schema_name)) and c.relname = any (names)) then
    return;
  end if;
  select string_agg(quote_ident(n.name), ', ' order by n.name) into strays
    from unnest(names) n (name)
   where not exists (select from pg_class c where c.relnamespace = to_regnamespace(quote_ident(schema_name)) and c.relname = n.name)
     and not exists (select from pg_type t where t.typnamespace = to_regnamespace(quote_ident(schema_name)) and t.typname = n.name)
     and not exists (select from pg_proc f where f.pronamespace = to_regnamespace(quote_ident(schema_name)) and f.proname = n.name)
     and (exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relname = n.name
                     and c.relowner = 'rowhouse_owner'::regrole
                     and (c.relkind not in ('r', 'p')
                          or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)))
          or exists (select from pg_type t where t.typnamespace = 'public'::regnamespace and t.typname = n.name
                        and t.typowner = 'rowhouse_owner'::regrole and t.typrelid = 0)
          or exists (select from pg_proc f where f.pronamespace = 'public'::regnamespace and f.proname = n.name
                        and f.proowner = 'rowhouse_owner'::regrole));
  if strays is not null then
    raise exception 'rowhouse: % in schema "%" does not exist, and the shared one of that name is not meant', strays, schema_name
      using errcode = '42P01', constraint = 'rowhouse_home_incomplete';
  end if;
end
$$;

-- PostgreSQL validates a foreign key by a query that asks the policies, and a migration has no tenant. For the length of its
-- transaction the owner is let past the policies of its tables and of those they refer to; nobody else is. Returns the
-- tables it was done to.
create function rowhouse.force_policies(schema_name text, tables text[], forced boolean) returns text[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  own record;
  done text[] := '{}';
begin
  for own in
    with named as (
      select c.oid from pg_class c
       where c.relnamespace = to_regnamespace(quote_ident(schema_name)) and c.relname = any (tables) and c.relkind in ('r', 'p')
      union
      select f.confrelid from pg_class c join pg_constraint f on f.conrelid = c.oid and f.contype = 'f'
       where c.relnamespace = to_regnamespace(quote_ident(schema_name)) and c.relname = any (tables)
    )
    select c.oid::regclass as target, c.relname
      from named join pg_class c on c.oid = named.oid
     where c.relrowsecurity and c.relforcerowsecurity <> forced
     order by c.oid
  loop
    execute format('alter table %s %s row level security', own.target, case when forced then 'force' else 'no force' end);
    done := done || own.relname::text;
  end loop;
  return done;
end
$$;

-- What the fleet last heard of each home. '' stands for the server's shared database, and for its shared tables.
create table rowhouse.fleet_home (
  server text not null references rowhouse.server (name) on delete cascade,
  database_name text not null default '',
  schema_name text not null default '' check (schema_name = '' or rowhouse.is_home(schema_name)),
  tenant_id uuid references rowhouse.tenant (id) on delete cascade,
  head text,
  digest text,
  fingerprint text,
  state text not null default 'current' check (state in ('current', 'running', 'failed')),
  error text,
  frozen_until timestamptz,
  frozen_for text,
  changed_at timestamptz not null default now(),
  primary key (server, database_name, schema_name)
);
create index fleet_home_digest_idx on rowhouse.fleet_home (digest);
create index fleet_home_tenant_id_idx on rowhouse.fleet_home (tenant_id);

-- Runs of the fleet, one at a time: who holds the lock, and what the last one left undone.
create table rowhouse.fleet_run (
  id bigint generated always as identity primary key,
  operator text not null check (length(operator) between 1 and 200),
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  state text not null default 'running' check (state in ('running', 'done', 'failed', 'stopped', 'interrupted')),
  reason text,
  target text,
  options jsonb not null default '{}',
  done integer not null default 0,
  failed integer not null default 0
);

-- Enters homes the fleet has not heard of: the shared tables of each server, and placements of tenants whose home is made.
create function rowhouse.enter_homes() returns void
language sql volatile
set search_path = pg_catalog, pg_temp
begin atomic
  insert into rowhouse.fleet_home (server)
  select s.name from rowhouse.server s on conflict do nothing;
  insert into rowhouse.fleet_home (server, database_name, schema_name, tenant_id)
  select p.server, coalesce(p.database_name, ''), coalesce(p.schema_name, ''), p.tenant_id
    from rowhouse.placement p join rowhouse.tenant t on t.id = p.tenant_id
   where p.model <> 'pooled' and t.state in ('standby', 'active', 'suspended', 'offboarding')
     and not exists (select from rowhouse.fleet_home h where h.tenant_id = p.tenant_id
                        and (h.server, h.database_name, h.schema_name) = (p.server, coalesce(p.database_name, ''), coalesce(p.schema_name, '')))
  on conflict do nothing;
end;

grant execute on function
  rowhouse.home_state(text), rowhouse.protect_home(text, text[]), rowhouse.assert_walled(text, text[]), rowhouse.assert_own(text, text[]),
  rowhouse.force_policies(text, text[], boolean), rowhouse.enter_homes()
to rowhouse_migrator;

reset role;
