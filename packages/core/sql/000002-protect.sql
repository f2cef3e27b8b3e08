--! rowhouse schema 2: making tables tenant tables
--
-- One implementation, in SQL, so that migration files can call it:
--
--   select rowhouse.protect('shipment');
--   select rowhouse.protect('shipment', unit_scope => true);
--   select rowhouse.publish_reference('port');
--
-- `plan_protect` says what would change and what stands in the way; `protect` does it or names every fault at once.

set local role rowhouse_owner;

-- The canonical text. Everything inside the scalar sub-select, so that it runs once per statement and the index is used;
-- with coalesce outside of it the same query fell from 24,500 to 216 per second.
create function rowhouse.tenant_condition() returns text
language sql immutable
return 'tenant_id = (select coalesce((select s.id from rowhouse.sealed s), rowhouse.reject()))';

create function rowhouse.unit_condition() returns text
language sql immutable
return '(select s.units is null from rowhouse.sealed s) or unit_id = any ((select s.units from rowhouse.sealed s)::uuid[])';

-- Policies a protected table has, and no others.
create function rowhouse.canonical_policies(unit_scope boolean)
returns table (name text, permissive boolean, condition text)
language sql stable
begin atomic
  select * from (values
    ('rowhouse_tenant', true, rowhouse.tenant_condition()),
    ('rowhouse_wall', false, rowhouse.tenant_condition()),
    ('rowhouse_unit', false, rowhouse.unit_condition())
  ) as p (name, permissive, condition)
  where p.name <> 'rowhouse_unit' or unit_scope;
end;

-- Policies are compared as PostgreSQL writes them back, never by pattern: this is that text for the canonical ones.
create function rowhouse.deparsed(condition text) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return case condition
    when rowhouse.tenant_condition() then
      '(tenant_id = ( SELECT COALESCE(( SELECT s.id' || E'\n           FROM rowhouse.sealed s), rowhouse.reject()) AS "coalesce"))'
    else
      '(( SELECT (s.units IS NULL)' || E'\n   FROM rowhouse.sealed s) OR (unit_id = ANY (( SELECT s.units' || E'\n   FROM rowhouse.sealed s)::uuid[])))'
  end;
end
$$;

-- A key or index "starts with the tenant" when its first column is tenant_id.
create function rowhouse.columns_of(target regclass, keys smallint[]) returns text
language sql stable
begin atomic
  select string_agg(quote_ident(a.attname), ', ' order by k.place)
    from unnest(keys) with ordinality k (number, place)
    join pg_attribute a on a.attrelid = target and a.attnum = k.number;
end;

create function rowhouse.protect_faults(target regclass, unit_scope boolean)
returns table (kind text, code text, message text, statement text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rel pg_class;
  tenant pg_attribute;
begin
  select * into strict rel from pg_class c where c.oid = target;
  if rel.relkind not in ('r', 'p') then
    return query select 'fault', 'not-a-table', format('%s is not a table but a %s: policies hold for tables only', target,
      case rel.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' else 'relation of another kind' end),
      case rel.relkind when 'v' then format('alter view %s set (security_invoker = true);', target) end;
    return;
  end if;
  if rel.relpersistence <> 'p' then
    return query select 'fault', 'not-logged', format('%s is %s: its rows would be lost in a crash and cannot be moved', target,
      case rel.relpersistence when 't' then 'temporary' else 'unlogged' end),
      case rel.relpersistence when 'u' then format('alter table %s set logged;', target) end;
  end if;
  select * into tenant from pg_attribute a where a.attrelid = target and a.attname = 'tenant_id' and not a.attisdropped;
  if tenant.attrelid is null then
    return query select 'fault', 'no-tenant-id', format('%s has no column tenant_id: nothing says whose row is whose', target),
      format('alter table %s add column tenant_id uuid; -- fill it, then: alter table %1$s alter column tenant_id set not null;', target);
    return;
  end if;
  if tenant.atttypid <> 'uuid'::regtype then
    return query select 'fault', 'tenant-id-type', format('%s.tenant_id is %s, wanted uuid', target, format_type(tenant.atttypid, tenant.atttypmod)),
      format('alter table %s alter column tenant_id type uuid using tenant_id::uuid;', target);
  end if;
  if not tenant.attnotnull then
    return query select 'fault', 'tenant-id-nullable', format('%s.tenant_id may be null: such a row belongs to nobody and escapes composite foreign keys', target),
      format('alter table %s alter column tenant_id set not null;', target);
  end if;
  if unit_scope and not exists (select from pg_attribute a where a.attrelid = target and a.attname = 'unit_id'
                                   and not a.attisdropped and a.atttypid = 'uuid'::regtype) then
    return query select 'fault', 'no-unit-id', format('%s has no column unit_id of type uuid: unit scope needs one', target),
      format('alter table %s add column unit_id uuid;', target);
  end if;
  if not rel.relispartition and not exists (select from pg_constraint c where c.conrelid = target and c.contype = 'p') then
    return query select 'fault', 'no-primary-key', format('%s has no primary key', target),
      format('alter table %s add primary key (tenant_id, /* id */);', target);
  end if;

  -- Primary, unique and exclusion constraints, and unique indexes without one: a key over all tenants tells that a value exists.
  return query
  select 'fault', 'key-not-by-tenant',
         format('%s on %s does not start with tenant_id: one tenant could tell which values another one has', c.conname, target),
         case c.contype
           when 'x' then format('alter table %s drop constraint %I; -- then add it again with "tenant_id with =" first', target, c.conname)
           else format('alter table %s drop constraint %I%s, add constraint %2$I %4$s (tenant_id, %5$s);', target, c.conname,
                       case when c.contype = 'p' then ' cascade' else '' end,
                       case when c.contype = 'p' then 'primary key' else 'unique' end, rowhouse.columns_of(target, c.conkey))
         end
    from pg_constraint c
   where c.conrelid = target and c.contype in ('p', 'u', 'x') and c.conkey[1] is distinct from tenant.attnum;
  return query
  select 'fault', 'key-not-by-tenant',
         format('unique index %s on %s does not start with tenant_id: one tenant could tell which values another one has', i.indexrelid::regclass, target),
         format('drop index %s; -- then create it again with tenant_id first', i.indexrelid::regclass)
    from pg_index i
   where i.indrelid = target and i.indisunique and i.indkey[0] <> tenant.attnum
     and not exists (select from pg_constraint c where c.conindid = i.indexrelid);

  -- Foreign keys between tenant tables carry tenant_id on both sides, or they confirm that another tenant's row exists.
  return query
  select 'fault', 'foreign-key-not-by-tenant',
         format('%s on %s refers to %s without tenant_id on both sides: it would confirm or block rows of other tenants', c.conname, target, c.confrelid::regclass),
         format('alter table %s drop constraint %I, add constraint %2$I foreign key (tenant_id, %3$s) references %4$s (tenant_id, %5$s);',
                target, c.conname, rowhouse.columns_of(target, c.conkey), c.confrelid::regclass, rowhouse.columns_of(c.confrelid::regclass, c.confkey))
    from pg_constraint c
    join pg_attribute f on f.attrelid = c.confrelid and f.attname = 'tenant_id' and not f.attisdropped
   where c.conrelid = target and c.contype = 'f' and c.conparentid = 0
     and not exists (select from unnest(c.conkey, c.confkey) k (here, there) where k.here = tenant.attnum and k.there = f.attnum);
  return query
  select 'fault', 'foreign-key-not-valid', format('%s on %s is not validated: rows that break it may be there', c.conname, target),
         format('alter table %s validate constraint %I;', target, c.conname)
    from pg_constraint c where c.conrelid = target and c.contype = 'f' and not c.convalidated;

  return query
  select 'fault', 'foreign-policy', format('policy %s on %s is not one of Rowhouse: a further permissive policy opens the table, a restrictive one hides rows', p.polname, target),
         format('drop policy %I on %s;', p.polname, target)
    from pg_policy p where p.polrelid = target and p.polname not in ('rowhouse_tenant', 'rowhouse_wall', 'rowhouse_unit');
  return query
  select 'fault', 'rule', format('rule %s on %s rewrites statements after the policies were chosen', r.rulename, target),
         format('drop rule %I on %s;', r.rulename, target)
    from pg_rewrite r where r.ev_class = target and r.rulename <> '_RETURN';
  return query
  select 'fault', 'large-object', format('%s.%s holds an oid: large objects have no tenant', target, a.attname),
         format('alter table %s alter column %I type bytea using null; -- and move the contents', target, a.attname)
    from pg_attribute a where a.attrelid = target and a.attnum > 0 and not a.attisdropped
     and (a.atttypid = 'oid'::regtype or a.atttypid = to_regtype('lo'));

  return query
  select 'warning', 'index-not-by-tenant', format('index %s on %s does not start with tenant_id: the policies cannot use it', i.indexrelid::regclass, target),
         format('create index concurrently on %s (tenant_id, %s);', target, coalesce(rowhouse.columns_of(target, i.indkey::smallint[]), '/* expression */'))
    from pg_index i where i.indrelid = target and not i.indisunique and i.indkey[0] <> tenant.attnum;
  return query
  select 'warning', 'foreign-key-without-index', format('%s on %s has no index on its columns: deleting or changing a referenced row scans the table', c.conname, target),
         format('create index concurrently on %s (%s);', target, rowhouse.columns_of(target, c.conkey))
    from pg_constraint c
   where c.conrelid = target and c.contype = 'f' and c.conparentid = 0
     and not exists (select from pg_index i where i.indrelid = target
                        and (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey);
end
$$;

create function rowhouse.protect_changes(target regclass, unit_scope boolean)
returns table (code text, message text, statement text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rel pg_class;
  updatable text;
begin
  select * into strict rel from pg_class c where c.oid = target;
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
    from rowhouse.canonical_policies(unit_scope) w
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
      format('revoke all on %s from public, rowhouse_app; grant select, insert, delete on %1$s to rowhouse_app;%2$s', target,
             coalesce(format(' grant update (%s) on %s to rowhouse_app;', updatable, target), ''));
  end if;
end
$$;

-- True when rowhouse_app may exactly SELECT, INSERT, DELETE, and UPDATE every column that is its to change.
create function rowhouse.has_exact_grants(target regclass) returns boolean
language sql stable
begin atomic
  select
    (select coalesce(array_agg(distinct acl.privilege_type order by acl.privilege_type), '{}') = array['DELETE', 'INSERT', 'SELECT']
       from pg_class c, aclexplode(c.relacl) acl where c.oid = target and acl.grantee = to_regrole('rowhouse_app'))
    and not exists (select from pg_class c, aclexplode(c.relacl) acl where c.oid = target and acl.grantee = 0)
    and not exists (
      select from pg_attribute a
        left join lateral (select array_agg(acl.privilege_type) as granted from aclexplode(a.attacl) acl
                            where acl.grantee = to_regrole('rowhouse_app')) g on true
       where a.attrelid = target and a.attnum > 0 and not a.attisdropped
         and coalesce(g.granted, '{}') <> case when a.attname = 'tenant_id' or a.attgenerated <> '' or a.attidentity = 'a'
                                               then '{}'::text[] else array['UPDATE'] end);
end;

-- The table and, where it is partitioned or inherited from, everything below it: PostgreSQL applies no policy of a parent
-- to a child that is named directly.
create function rowhouse.with_children(target regclass) returns setof regclass
language sql stable
begin atomic
  with recursive tree as (
    select target as relation
    union all
    select i.inhrelid::regclass from tree t join pg_inherits i on i.inhparent = t.relation
  )
  select relation from tree;
end;

create function rowhouse.plan_protect(target regclass, unit_scope boolean default false)
returns table (step bigint, kind text, code text, message text, statement text)
language sql stable
begin atomic
  select row_number() over (), p.* from (
    select f.kind, f.code, f.message, f.statement
      from rowhouse.with_children(target) r, rowhouse.protect_faults(r, unit_scope) f
    union all
    select 'change', c.code, c.message, c.statement
      from rowhouse.with_children(target) r
      join pg_class k on k.oid = r and k.relkind in ('r', 'p'), rowhouse.protect_changes(r, unit_scope) c
     where exists (select from pg_attribute a where a.attrelid = r and a.attname = 'tenant_id' and not a.attisdropped)
  ) p;
end;

-- Returns how many changes were made. Runs with the caller's rights: the owner of the table, a member of rowhouse_owner.
create function rowhouse.protect(target regclass, unit_scope boolean default false) returns integer
language plpgsql
as $$
declare
  found text;
  change record;
  made integer := 0;
begin
  select string_agg(format('%s: %s%s', p.code, p.message, coalesce(E'\n    mend: ' || p.statement, '')), E'\n  ' order by p.step) into found
    from rowhouse.plan_protect(target, unit_scope) p where p.kind = 'fault';
  if found is not null then
    raise exception E'rowhouse: % cannot be a tenant table yet:\n  %', target, found
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
  for change in select p.statement from rowhouse.plan_protect(target, unit_scope) p where p.kind = 'change' order by p.step loop
    execute change.statement;
    made := made + 1;
  end loop;
  return made;
end
$$;

-- Reference tables: all tenants read, none writes.
create function rowhouse.publish_reference(target regclass) returns void
language plpgsql
as $$
begin
  if exists (select from pg_attribute a where a.attrelid = target and a.attname = 'tenant_id' and not a.attisdropped) then
    raise exception 'rowhouse: % has a column tenant_id: it is a tenant table, protect it', target
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
  execute format('revoke all on %s from public, rowhouse_app; grant select on %1$s to rowhouse_app;', target);
end
$$;

grant execute on function
  rowhouse.tenant_condition(), rowhouse.unit_condition(), rowhouse.canonical_policies(boolean), rowhouse.deparsed(text),
  rowhouse.columns_of(regclass, smallint[]), rowhouse.protect_faults(regclass, boolean),
  rowhouse.protect_changes(regclass, boolean), rowhouse.has_exact_grants(regclass), rowhouse.with_children(regclass),
  rowhouse.plan_protect(regclass, boolean), rowhouse.protect(regclass, boolean), rowhouse.publish_reference(regclass)
to rowhouse_migrator;

reset role;
