--! rowhouse schema 4: where a tenant lives
--
-- The same file goes into every database. The registry (servers, placements, lifecycle) is used in the central one;
-- `resident` and the policies are used wherever tenants live. What the registry says is a claim that the database of the
-- tenant checks: an old epoch, another schema or another database gets an error, never somebody's rows.

-- A schema of one tenant is its home. Its name says so, so that no table has to be read to know: protect() and the
-- doctor decide by it, in databases that know no registry as well.
set local role rowhouse_owner;

create function rowhouse.is_home(schema_name text) returns boolean
language sql immutable parallel safe
return schema_name ~ '^t_[a-z0-9_]{2,40}_[0-9a-f]{12}$';

-- The schema a tenant of this database lives in; null in shared tables and in a database of its own.
alter table rowhouse.resident add column home text check (rowhouse.is_home(home));
create unique index resident_home_idx on rowhouse.resident (home);
alter table rowhouse.accepted_stamp add column home text;

create or replace function rowhouse.accept_stamps() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from rowhouse.accepted_stamp s where s.tenant_id = new.tenant_id;
  if new.state = 'active' then
    insert into rowhouse.accepted_stamp (stamp, tenant_id, ipad, opad, home)
    select new.tenant_id || lpad(new.epoch::text, 9, '0') || lpad(k.version::text, 6, '0'), new.tenant_id, k.ipad, k.opad, new.home
      from (values (new.key_version, new.ipad, new.opad), (new.old_key_version, new.old_ipad, new.old_opad))
           as k (version, ipad, opad)
     where k.version is not null;
  end if;
  return null;
end
$$;

-- As before, and where the tenant lives. Why each line stands as it does: 000001-foundation.sql.
create or replace view rowhouse.sealed with (security_barrier = true) as
select
  a.tenant_id as id,
  case when substr(current_setting('rowhouse.seal', true), 126, 2) = '*|' then null
       else string_to_array(split_part(substr(current_setting('rowhouse.seal', true), 126), '|', 1), ',')::uuid[]
  end as units,
  nullif(substr(current_setting('rowhouse.seal', true), 127 + strpos(substr(current_setting('rowhouse.seal', true), 127), '|')), '') as actor,
  a.home
from rowhouse.accepted_stamp a
where a.stamp = substr(current_setting('rowhouse.seal', true), 65, 51)
  and case
        when substr(current_setting('rowhouse.seal', true), 1, 64) = encode(sha256(a.opad || sha256(a.ipad
             || convert_to(substr(current_setting('rowhouse.seal', true), 65), 'UTF8'))), 'hex')
        then substr(current_setting('rowhouse.seal', true), 116, 10)::float8 > date_part('epoch', now())
        else false
      end;

-- The canonical text names the home, so that a table answers only to tenants that live beside it: while a migration has
-- reached the shared tables and not yet a tenant's schema, the search path finds the shared table, and rows written
-- there would be missed after the migration. It is an error instead.
drop function rowhouse.canonical_policies(boolean);
drop function rowhouse.tenant_condition();

create function rowhouse.tenant_condition(schema_name text) returns text
language sql immutable
return format('tenant_id = (select coalesce((select s.id from rowhouse.sealed s where %s), rowhouse.reject()))',
  case when rowhouse.is_home(schema_name) then format('s.home = %L', schema_name) else 's.home is null' end);

create function rowhouse.canonical_policies(schema_name text, unit_scope boolean)
returns table (name text, permissive boolean, condition text)
language sql stable
begin atomic
  select * from (values
    ('rowhouse_tenant', true, rowhouse.tenant_condition(schema_name)),
    ('rowhouse_wall', false, rowhouse.tenant_condition(schema_name)),
    ('rowhouse_unit', false, rowhouse.unit_condition())
  ) as p (name, permissive, condition)
  where p.name <> 'rowhouse_unit' or unit_scope;
end;

create or replace function rowhouse.deparsed(condition text) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if condition = rowhouse.unit_condition() then
    return '(( SELECT (s.units IS NULL)' || E'\n   FROM rowhouse.sealed s) OR (unit_id = ANY (( SELECT s.units' || E'\n   FROM rowhouse.sealed s)::uuid[])))';
  end if;
  return format('(tenant_id = ( SELECT COALESCE(( SELECT s.id' || E'\n           FROM rowhouse.sealed s\n          WHERE (%s)), rowhouse.reject()) AS "coalesce"))',
    coalesce((regexp_match(condition, 's\.home = ''[a-z0-9_]+'''))[1] || '::text', 's.home IS NULL'));
end
$$;

-- As before, with the home of the table's schema.
create or replace function rowhouse.protect_changes(target regclass, unit_scope boolean)
returns table (code text, message text, statement text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rel pg_class;
  updatable text;
begin
  select * into strict rel from pg_class c where c.oid = target;
  return query select s.code, s.message, s.statement from rowhouse.schema_changes(target) s;
  if rel.relowner <> 'rowhouse_owner'::regrole then
    return query select 'owner', format('%s goes to rowhouse_owner', target), format('alter table %s owner to rowhouse_owner;', target);
  end if;
  if not exists (select from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
                  where d.adrelid = target and a.attname = 'tenant_id' and pg_get_expr(d.adbin, d.adrelid) = 'rowhouse.current_tenant_id()') then
    return query select 'default', format('%s.tenant_id is filled in', target),
      format('alter table %s alter column tenant_id set default rowhouse.current_tenant_id();', target);
  end if;
  if not rel.relrowsecurity then
    return query select 'enable', format('row-level security on %s', target), format('alter table %s enable row level security;', target);
  end if;
  if not rel.relforcerowsecurity then
    return query select 'force', format('… for its owner as well'), format('alter table %s force row level security;', target);
  end if;
  return query
  select 'policy', format('policy %s on %s', w.name, target),
         case when p.polname is not null then format('drop policy %I on %s; ', w.name, target) else '' end
         || format('create policy %I on %s as %s for all to public using (%s) with check (%4$s);', w.name, target,
                   case when w.permissive then 'permissive' else 'restrictive' end, w.condition)
    from rowhouse.canonical_policies(rel.relnamespace::regnamespace::text, unit_scope) w
    left join pg_policy p on p.polrelid = target and p.polname = w.name
   where p.polname is null or p.polpermissive <> w.permissive or p.polcmd <> '*' or p.polroles <> '{0}'
      or pg_get_expr(p.polqual, target) is distinct from rowhouse.deparsed(w.condition)
      or pg_get_expr(p.polwithcheck, target) is distinct from rowhouse.deparsed(w.condition);
  if not unit_scope then
    return query select 'policy', format('no unit scope on %s', target), format('drop policy rowhouse_unit on %s;', target)
      from pg_policy p where p.polrelid = target and p.polname = 'rowhouse_unit';
  end if;
  select string_agg(quote_ident(a.attname), ', ' order by a.attnum) into updatable
    from pg_attribute a
   where a.attrelid = target and a.attnum > 0 and not a.attisdropped and a.attname <> 'tenant_id' and a.attgenerated = ''
     and a.attidentity <> 'a';
  if not rowhouse.has_exact_grants(target) then
    return query select 'grants', format('exact grants on %s', target),
      format('revoke all on %s from public, rowhouse_app cascade; grant select, insert, delete on %1$s to rowhouse_app;', target)
      || case when updatable is null then '' else format(' grant update (%s) on %s to rowhouse_app;', updatable, target) end;
  end if;
  return query
  select 'sequence', format('no grants on %s, which all tenants share', q.oid::regclass),
         format('revoke all on sequence %s from public, rowhouse_app cascade;', q.oid::regclass)
    from pg_depend d join pg_class q on q.oid = d.objid and q.relkind = 'S'
   where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = target and d.deptype in ('a', 'i')
     and exists (select from aclexplode(q.relacl) acl where acl.grantee in (0, to_regrole('rowhouse_app')));
end
$$;


-- Tables protected before this version get the new text; their rows and everything else stay as they are.
do $policies$
declare
  old record;
begin
  for old in
    select p.polname, c.oid::regclass as target, rowhouse.tenant_condition(n.nspname) as condition
      from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
     where p.polname in ('rowhouse_tenant', 'rowhouse_wall') and c.relowner = 'rowhouse_owner'::regrole
  loop
    execute format('alter policy %I on %s using (%s) with check (%3$s)', old.polname, old.target, old.condition);
  end loop;
end
$policies$;

-- Lifecycle. Only `active` is served; the others say why not. Who may follow whom is decided here, for every writer.
alter table rowhouse.tenant drop constraint tenant_state_check;
alter table rowhouse.tenant
  add constraint tenant_state_check check (state in
    ('provisioning', 'standby', 'active', 'suspended', 'failed', 'offboarding', 'erased')),
  add column plan text not null default 'standard' check (plan ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  add column ring text not null default 'general' check (ring ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  add column labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
  -- The request it was made for: the same one twice makes one tenant.
  add column request text unique check (length(request) between 1 and 200);

create function rowhouse.check_lifecycle() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    if new.state in ('provisioning', 'active', 'suspended') then return new; end if;
  elsif old.state = new.state or (old.state, new.state) in (
      ('provisioning', 'active'), ('provisioning', 'standby'), ('provisioning', 'failed'), ('failed', 'provisioning'),
      ('standby', 'provisioning'), ('standby', 'failed'), ('active', 'suspended'), ('suspended', 'active'),
      ('active', 'offboarding'), ('suspended', 'offboarding'), ('offboarding', 'suspended'), ('offboarding', 'erased')) then
    return new;
  end if;
  raise exception 'rowhouse: a tenant cannot become % %', new.state,
      case when tg_op = 'INSERT' then 'at once' else format('when it is %s', old.state) end
    using errcode = '55000', constraint = 'rowhouse_tenant_lifecycle';
end
$$;
create trigger check_lifecycle before insert or update of state on rowhouse.tenant
  for each row execute function rowhouse.check_lifecycle();

-- PostgreSQL servers tenants live on. Connection URLs are secrets and stay out: `env:NAME` or `file:/path` says where a
-- process finds one. A URL names the server's shared database. `main` is the server of this database itself.
create table rowhouse.server (
  name text primary key check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  region text not null check (region ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  kind text not null default 'postgres' check (kind in ('postgres', 'citus')),
  state text not null default 'active' check (state in ('active', 'draining', 'down')),
  capacity integer check (capacity >= 0),
  app_url text check (app_url ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'),
  admin_url text check (admin_url ~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$'),
  replica_urls text[] not null default '{}',
  created_at timestamptz not null default now(),
  check (name = 'main' or (app_url is not null and admin_url is not null))
);
insert into rowhouse.server (name, region) values ('main', 'local');

-- Where each tenant lives. A null database is the shared one of its server, a null schema the application's own.
create table rowhouse.placement (
  tenant_id uuid primary key references rowhouse.tenant (id) on delete cascade,
  server text not null default 'main' references rowhouse.server (name),
  model text not null default 'pooled' check (model in ('pooled', 'schema', 'database')),
  database_name text check (length(database_name) between 1 and 63),
  schema_name text check (rowhouse.is_home(schema_name)),
  epoch integer not null default 1 check (epoch between 1 and 999999999),
  key_version integer not null check (key_version between 1 and 999999),
  changed_at timestamptz not null default now(),
  check ((model = 'database') = (database_name is not null)),
  check ((model = 'schema') = (schema_name is not null))
);
create unique index placement_database_idx on rowhouse.placement (server, database_name) where model = 'database';
create unique index placement_schema_idx on rowhouse.placement (server, schema_name) where model = 'schema';
create index placement_server_idx on rowhouse.placement (server, model);

insert into rowhouse.placement (tenant_id, epoch, key_version)
select t.id, r.epoch, r.key_version from rowhouse.tenant t join rowhouse.resident r on r.tenant_id = t.id;

-- Finds the tenant that answers to a name, and where it lives.
drop function rowhouse.find_tenant(text, text, text);
create function rowhouse.find_tenant(kind text, key text, secret_sha256 text default null)
returns table (id uuid, slug text, state text, epoch integer, key_version integer, server text, model text,
               database_name text, schema_name text, plan text, actor text, units uuid[])
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
  select n.id, n.slug, n.state, p.epoch, p.key_version, p.server, p.model, p.database_name, p.schema_name, n.plan, n.actor, n.units
    from named n join rowhouse.placement p on p.tenant_id = n.id
   -- What is being made, kept in reserve or gone answers to no name.
   where kind = 'id' or n.state in ('active', 'suspended');
end
$$;

-- The servers of the platform, for the process that routes to them.
create function rowhouse.list_servers()
returns table (name text, region text, kind text, state text, app_url text, replica_urls text[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform rowhouse.require_platform();
  return query select s.name, s.region, s.kind, s.state, s.app_url, s.replica_urls from rowhouse.server s order by s.name;
end
$$;

drop function rowhouse.open_crossing(text, text, text[], boolean);
create function rowhouse.open_crossing(by_actor text, for_reason text, slugs text[], with_writes boolean)
returns table (crossing_id uuid, id uuid, slug text, state text, epoch integer, key_version integer, server text,
               model text, database_name text, schema_name text, plan text)
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
  select opened, t.id, t.slug, t.state, p.epoch, p.key_version, p.server, p.model, p.database_name, p.schema_name, t.plan
    from rowhouse.tenant t join rowhouse.placement p on p.tenant_id = t.id
   where t.id = any (chosen) order by t.slug;
end
$$;

grant execute on function rowhouse.is_home(text) to rowhouse_app, rowhouse_migrator;
grant execute on function rowhouse.tenant_condition(text), rowhouse.canonical_policies(text, boolean) to rowhouse_migrator;
grant execute on function
  rowhouse.find_tenant(text, text, text), rowhouse.list_servers(), rowhouse.open_crossing(text, text, text[], boolean)
to rowhouse_app, rowhouse_migrator;

reset role;
