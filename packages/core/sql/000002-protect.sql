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

-- The schema of Rowhouse itself and those of PostgreSQL hold no table of the application. A policy on `resident` would
-- hand each tenant the key of its own seal.
create function rowhouse.is_reserved(target regclass) returns boolean
language sql stable
begin atomic
  select n.nspname in ('rowhouse', 'information_schema') or n.nspname like 'pg\_%'
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = target;
end;

create function rowhouse.columns_of(target regclass, keys smallint[]) returns text
language sql stable
begin atomic
  select string_agg(quote_ident(a.attname), ', ' order by k.place)
    from unnest(keys) with ordinality k (number, place)
    join pg_attribute a on a.attrelid = target and a.attnum = k.number;
end;

-- Puts tenant_id first in the column list of a key or index, as PostgreSQL writes it, and keeps everything after the list.
create function rowhouse.led_by_tenant(definition text) returns text
language sql immutable
return regexp_replace(regexp_replace(definition, '\(', '(tenant_id, '), ', tenant_id\M', '');

-- Puts tenant_id first on both sides of a foreign key. SET NULL has to name the columns it clears, or it clears tenant_id.
create function rowhouse.foreign_key_by_tenant(reference pg_constraint) returns text
language sql stable
begin atomic
  select regexp_replace(
    case when here.attnum = any ((reference).conkey) then d.definition
         else regexp_replace(regexp_replace(d.definition, '\(', '(tenant_id, '), '(REFERENCES .*?\()', '\1tenant_id, ') end,
    'ON DELETE SET NULL(?! \()',
    format('ON DELETE SET NULL (%s)', rowhouse.columns_of((reference).conrelid::regclass, array_remove((reference).conkey, here.attnum))))
    from pg_attribute here, pg_attribute there, pg_get_constraintdef((reference).oid) as d (definition)
   where here.attrelid = (reference).conrelid and here.attname = 'tenant_id'
     and there.attrelid = (reference).confrelid and there.attname = 'tenant_id';
end;

-- SQL that puts tenant_id first in a primary key or unique constraint. Foreign keys that refer to it go and come back with
-- tenant_id on both sides; null where one cannot, because its table has no tenant_id.
create function rowhouse.mend_key(broken pg_constraint) returns text
language sql stable
begin atomic
  select coalesce(string_agg(format('alter table %s drop constraint %I; ', f.conrelid::regclass, f.conname), '' order by f.oid) filter (where f.oid is not null), '')
         || format('alter table %s drop constraint %I, add constraint %2$I %3$s;', (broken).conrelid::regclass, (broken).conname,
                   rowhouse.led_by_tenant(pg_get_constraintdef((broken).oid)))
         || case when count(f.oid) = count(rowhouse.foreign_key_by_tenant(f)) then
              coalesce(string_agg(format(' alter table %s add constraint %I %s;', f.conrelid::regclass, f.conname,
                                         rowhouse.foreign_key_by_tenant(f)), '' order by f.oid) filter (where f.oid is not null), '') end
    from (select) one
    left join pg_constraint f on f.contype = 'f' and f.confrelid = (broken).conrelid and f.conindid = (broken).conindid
                             and f.conparentid = 0;
end;

-- SQL that replaces an index by one that starts with tenant_id; null for index types that cannot hold a uuid.
create function rowhouse.mend_index(broken regclass) returns text
language sql stable
begin atomic
  select case when am.amname in ('gin', 'gist') then format('create extension if not exists btree_%s; ', am.amname) else '' end
         || case when i.indisunique then format('drop index %s; %s;', broken, d.definition)
                 else regexp_replace(d.definition, '^CREATE INDEX .*? ON (ONLY )?',
                        case when t.relkind = 'p' then 'CREATE INDEX ON ' else 'CREATE INDEX CONCURRENTLY ON ' end)
                      || format('; drop index %s;', broken) end
    from pg_index i
    join pg_class x on x.oid = i.indexrelid
    join pg_class t on t.oid = i.indrelid
    join pg_am am on am.oid = x.relam,
    lateral rowhouse.led_by_tenant(pg_get_indexdef(broken)) as d (definition)
   where i.indexrelid = broken and am.amname in ('btree', 'gin', 'gist');
end;

-- SQL that makes a column fed by a sequence an identity column, which takes no grant on the sequence.
create function rowhouse.mend_sequence(target regclass, number smallint, feeder regclass) returns text
language sql stable
begin atomic
  select format('alter table %s alter column %I drop default;', target, a.attname)
         || case when exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = feeder
                                 and d.refobjid = target and d.refobjsubid = number and d.deptype = 'a')
                 then format(' drop sequence %s;', feeder) else '' end
         || format(' alter table %s alter column %I set not null, alter column %2$I add generated by default as identity;', target, a.attname)
         || format(' select setval(pg_get_serial_sequence(%L, %L), coalesce((select max(%3$I) from %4$s), 0) + 1, false);',
                   target, a.attname, a.attname, target)
    from pg_attribute a where a.attrelid = target and a.attnum = number;
end;

-- Views that reach the table past its policies, however many views lie between, and the one that opens the way.
--   * A view reads and writes as its owner, whom policies bind unless it is a superuser or has BYPASSRLS.
--   * With security_invoker it is as if the table were named directly, also below other views.
--   * A materialized view holds what its owner once read, whatever the views below it check.
create function rowhouse.views_around(target regclass)
returns table (relation regclass, opened_by regclass)
language sql stable
begin atomic
  with recursive above (relation, opened_by) as (
    select target, null::regclass
    union
    select v.oid::regclass,
           case when v.relkind = 'm' then v.oid::regclass
                when i.invoker then null
                when b.opened_by is not null then b.opened_by
                when b.relation = target and (o.rolsuper or o.rolbypassrls) then v.oid::regclass end
      from above b
      join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = b.relation
      join pg_rewrite r on r.oid = d.objid
      join pg_class v on v.oid = r.ev_class and v.relkind in ('v', 'm') and v.oid <> b.relation
      join pg_roles o on o.oid = v.relowner,
           lateral (select coalesce((select x.option_value::boolean from pg_options_to_table(v.reloptions) x
                                      where x.option_name = 'security_invoker'), false)) i (invoker)
  )
  select a.relation, a.opened_by from above a where a.opened_by is not null;
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
  if rowhouse.is_reserved(target) then
    return query select 'fault', 'reserved-schema', format('%s belongs to Rowhouse or PostgreSQL: no table of the application', target), null;
    return;
  end if;
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
      format('alter table %s alter column tenant_id drop default, alter column tenant_id type uuid using tenant_id::uuid;', target);
  end if;
  if tenant.attgenerated <> '' then
    return query select 'fault', 'tenant-id-generated', format('%s.tenant_id is computed from other columns, wanted one that takes the tenant of the context', target),
      case tenant.attgenerated when 's' then format('alter table %s alter column tenant_id drop expression;', target) end;
  end if;
  if not tenant.attnotnull then
    return query select 'fault', 'tenant-id-nullable', format('%s.tenant_id may be null: such a row belongs to nobody and escapes composite foreign keys; give rows without a tenant one first', target),
      format('alter table %s alter column tenant_id set not null;', target);
  end if;
  -- From PostgreSQL 18 on, NOT NULL can be promised for new rows only.
  return query
  select 'fault', 'tenant-id-nullable', format('%s.tenant_id may be null in rows from before its constraint %s; give them a tenant first', target, c.conname),
         format('alter table %s validate constraint %I;', target, c.conname)
    from pg_constraint c
   where c.conrelid = target and c.contype = 'n' and c.conkey = array[tenant.attnum] and not c.convalidated;
  if unit_scope and not exists (select from pg_attribute a where a.attrelid = target and a.attname = 'unit_id'
                                   and not a.attisdropped and a.atttypid = 'uuid'::regtype) then
    return query select 'fault', 'no-unit-id', format('%s has no column unit_id of type uuid: unit scope needs one', target),
      format('alter table %s add column unit_id uuid;', target);
  end if;
  if not rel.relispartition and not exists (select from pg_constraint c where c.conrelid = target and c.contype = 'p') then
    return query select 'fault', 'no-primary-key', format('%s has no primary key', target),
      case when exists (select from pg_attribute a where a.attrelid = target and a.attname = 'id' and not a.attisdropped)
           then format('alter table %s add primary key (tenant_id, id);', target) end;
  end if;

  -- Primary, unique and exclusion constraints, and unique indexes without one: a key over all tenants tells that a value
  -- exists. Those of a partition come from its parent, and are mended there.
  return query
  select 'fault', 'key-not-by-tenant',
         format('%s on %s does not start with tenant_id: one tenant could tell which values another one has', c.conname, target),
         case c.contype
           when 'x' then format('create extension if not exists btree_gist; alter table %s drop constraint %I, add constraint %2$I %3$s;', target, c.conname,
                                regexp_replace(pg_get_constraintdef(c.oid), '\(', '(tenant_id WITH =, '))
           else rowhouse.mend_key(c)
         end
    from pg_constraint c
   where c.conrelid = target and c.contype in ('p', 'u', 'x') and c.conparentid = 0 and c.conkey[1] is distinct from tenant.attnum;
  return query
  select 'fault', 'key-not-by-tenant',
         format('unique index %s on %s does not start with tenant_id: one tenant could tell which values another one has', i.indexrelid::regclass, target),
         rowhouse.mend_index(i.indexrelid::regclass)
    from pg_index i
   where i.indrelid = target and i.indisunique and i.indkey[0] <> tenant.attnum
     and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x'))
     and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid);

  -- Foreign keys between tenant tables carry tenant_id on both sides, or they confirm that another tenant's row exists.
  return query
  select 'fault', 'foreign-key-not-by-tenant',
         format('%s on %s refers to %s without tenant_id on both sides: it would confirm or block rows of other tenants', c.conname, target, c.confrelid::regclass),
         case when tenant.attnum <> all (c.conkey) and f.attnum <> all (c.confkey)
              then format('alter table %s drop constraint %I, add constraint %2$I %3$s;', target, c.conname, rowhouse.foreign_key_by_tenant(c)) end
    from pg_constraint c
    join pg_attribute f on f.attrelid = c.confrelid and f.attname = 'tenant_id' and not f.attisdropped
   where c.conrelid = target and c.contype = 'f' and c.conparentid = 0
     and not exists (select from unnest(c.conkey, c.confkey) k (here, there) where k.here = tenant.attnum and k.there = f.attnum);
  -- NOT ENFORCED (18) is read by name, because older servers do not have the column.
  return query
  select 'fault', 'foreign-key-not-valid',
         format('%s on %s is not %s: rows that break it may be there', c.conname, target, case when e.enforced then 'validated' else 'enforced' end),
         format('alter table %s %s constraint %I%s;', target, case when e.enforced then 'validate' else 'alter' end, c.conname,
                case when e.enforced then '' else ' enforced' end)
    from pg_constraint c, lateral (select coalesce(to_jsonb(c) ->> 'conenforced', 'true')::boolean) e (enforced)
   where c.conrelid = target and c.contype = 'f' and c.conparentid = 0 and not c.convalidated;

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
         format('alter table %s alter column %I type bytea using lo_get(%2$I);', target, a.attname)
    from pg_attribute a join pg_type t on t.oid = a.atttypid
   where a.attrelid = target and a.attnum > 0 and not a.attisdropped
     and ('oid'::regtype in (t.oid, t.typbasetype) or t.typname = 'lo');

  -- A sequence says how much all tenants write, and the application is never granted one.
  return query
  select 'fault', 'shared-sequence', format('%s.%s is filled from the sequence %s, which tells each tenant what the others write: wanted identity or rowhouse.uuidv7()', target, a.attname, q.oid::regclass),
         rowhouse.mend_sequence(target, a.attnum, q.oid::regclass)
    from pg_attrdef def
    join pg_attribute a on a.attrelid = def.adrelid and a.attnum = def.adnum
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = def.oid and d.refclassid = 'pg_class'::regclass
    join pg_class q on q.oid = d.refobjid and q.relkind = 'S'
   where def.adrelid = target;

  return query
  select 'fault', 'view-around-policies',
         format('%s %s reaches %s past its policies and the application may use it', case v.relkind when 'm' then 'materialized view' else 'view' end, v.oid::regclass, target),
         case o.relkind when 'm' then format('revoke all on %s from public, rowhouse_app;', v.oid::regclass)
                        else format('alter view %s set (security_invoker = true);', o.oid::regclass) end
    from rowhouse.views_around(target) a
    join pg_class v on v.oid = a.relation
    join pg_class o on o.oid = a.opened_by
   where has_any_column_privilege('rowhouse_app', v.oid, 'select')
      or (v.relkind = 'v' and (has_any_column_privilege('rowhouse_app', v.oid, 'insert, update') or has_table_privilege('rowhouse_app', v.oid, 'delete')));

  return query
  select 'warning', 'foreign-key-to-central', format('%s on %s refers to %s, which the application may not read: inserting tells which of its keys exist', c.conname, target, c.confrelid::regclass),
         format('select rowhouse.publish_reference(%L); -- where all tenants may read it', c.confrelid::regclass)
    from pg_constraint c
   where c.conrelid = target and c.contype = 'f' and c.conparentid = 0 and c.conkey <> array[tenant.attnum]
     and not exists (select from pg_attribute f where f.attrelid = c.confrelid and f.attname = 'tenant_id' and not f.attisdropped)
     and not has_table_privilege('rowhouse_app', c.confrelid, 'select');
  return query
  select 'warning', 'foreign-key-clears-tenant', format('%s on %s sets tenant_id to null with the other columns: deleting the row it refers to fails', c.conname, target),
         format('alter table %s drop constraint %I, add constraint %2$I %3$s;', target, c.conname, rowhouse.foreign_key_by_tenant(c))
    from pg_constraint c
   where c.conrelid = target and c.contype = 'f' and c.conparentid = 0 and c.confdeltype = 'n'
     and tenant.attnum = any (coalesce(c.confdelsetcols, c.conkey)) and tenant.attnum = any (c.conkey);
  return query
  select 'warning', 'index-not-by-tenant', format('index %s on %s does not start with tenant_id: it holds the rows of all tenants together', i.indexrelid::regclass, target),
         rowhouse.mend_index(i.indexrelid::regclass)
    from pg_index i
   where i.indrelid = target and not i.indisunique and i.indkey[0] <> tenant.attnum
     and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype = 'x')
     and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid);
  return query
  select 'warning', 'foreign-key-without-index', format('%s on %s has no index on its columns: deleting or changing a referenced row scans the table', c.conname, target),
         format('create index %son %s (%s);', case rel.relkind when 'p' then '' else 'concurrently ' end, target, rowhouse.columns_of(target, c.conkey))
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

-- The application passes through the schema and makes nothing in it; the owner's rights are what foreign keys run with.
create function rowhouse.schema_changes(target regclass)
returns table (code text, message text, statement text)
language sql stable
begin atomic
  select 'schema', c.message, format(c.statement, quote_ident(n.nspname))
    from pg_class t
    join pg_namespace n on n.oid = t.relnamespace,
    lateral (values
      -- Granted to the owner by name: what it may as PUBLIC, the next line takes away.
      (n.nspowner <> to_regrole('rowhouse_owner') and 2 > (select count(distinct acl.privilege_type) from aclexplode(n.nspacl) acl
         where acl.grantee = to_regrole('rowhouse_owner') and acl.privilege_type in ('USAGE', 'CREATE')),
       format('schema %I is open to rowhouse_owner', n.nspname), 'grant usage, create on schema %s to rowhouse_owner;'),
      (has_schema_privilege('rowhouse_app', n.oid, 'create'),
       format('nobody but owners makes anything in schema %I', n.nspname), 'revoke create on schema %s from public, rowhouse_app cascade;'),
      (not has_schema_privilege('rowhouse_app', n.oid, 'usage'),
       format('schema %I is passable for rowhouse_app', n.nspname), 'grant usage on schema %s to rowhouse_app;')
    ) as c (needed, message, statement)
   where t.oid = target and c.needed;
end;

-- True when rowhouse_app may exactly SELECT, INSERT, DELETE, and UPDATE every column that is its to change, may pass none
-- of that on, and PUBLIC may nothing.
create function rowhouse.has_exact_grants(target regclass) returns boolean
language sql stable
begin atomic
  select
    (select coalesce(array_agg(distinct acl.privilege_type order by acl.privilege_type), '{}') = array['DELETE', 'INSERT', 'SELECT']
            and not bool_or(acl.is_grantable)
       from pg_class c, aclexplode(c.relacl) acl where c.oid = target and acl.grantee = to_regrole('rowhouse_app'))
    and not exists (select from pg_class c, aclexplode(c.relacl) acl where c.oid = target and acl.grantee = 0)
    and not exists (
      select from pg_attribute a, aclexplode(a.attacl) acl
       where a.attrelid = target and (acl.grantee = 0 or (acl.grantee = to_regrole('rowhouse_app') and acl.is_grantable)))
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
    union
    select i.inhrelid::regclass from tree t join pg_inherits i on i.inhparent = t.relation
  )
  select relation from tree;
end;

-- Parents of the table that the application reads without policies: through them it would read the child's rows, because
-- PostgreSQL applies no policy of a child to its parent either.
create function rowhouse.open_parents(target regclass)
returns table (kind text, code text, message text, statement text)
language sql stable
begin atomic
  select 'fault', 'parent-open', format('%s is a part of %s, which the application reads without policies', target, i.inhparent::regclass),
         format('select rowhouse.protect(%L);', i.inhparent::regclass)
    from pg_inherits i join pg_class p on p.oid = i.inhparent
   where i.inhrelid = target and not p.relrowsecurity and has_any_column_privilege('rowhouse_app', p.oid, 'select');
end;

create function rowhouse.plan_protect(target regclass, unit_scope boolean default false)
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
    select 3, r.place, c.line, 'change', c.code, c.message, c.statement
      from rowhouse.with_children(target) with ordinality r (relation, place)
      join pg_class k on k.oid = r.relation and k.relkind in ('r', 'p') and not rowhouse.is_reserved(r.relation),
           lateral rowhouse.protect_changes(r.relation, unit_scope) with ordinality c (code, message, statement, line)
     where exists (select from pg_attribute a where a.attrelid = r.relation and a.attname = 'tenant_id' and not a.attisdropped)
  ) p;
end;

-- Returns how many changes were made. Runs with the caller's rights: the owner of the table, a member of rowhouse_owner.
-- The search path is fixed, so that the operators in the policies are those of PostgreSQL.
create function rowhouse.protect(target regclass, unit_scope boolean default false) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
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
  -- REVOKE and GRANT of somebody without the right to them only warn; a wall is believed when it is seen.
  select string_agg(p.statement, E'\n  ' order by p.step) into found
    from rowhouse.plan_protect(target, unit_scope) p where p.kind = 'change';
  if found is not null then
    raise exception E'rowhouse: % is not protected, because these had no effect for role "%":\n  %', target, current_user, found
      using errcode = '42501', hint = 'Run them as the owner of the schema or as whoever granted the rights.';
  end if;
  return made;
end
$$;

-- Reference tables: all tenants read, none writes.
create function rowhouse.publish_reference(target regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  change record;
begin
  if rowhouse.is_reserved(target) then
    raise exception 'rowhouse: % belongs to Rowhouse or PostgreSQL: no table of the application', target
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
  if not exists (select from pg_class c where c.oid = target and c.relkind in ('r', 'p')) then
    raise exception 'rowhouse: % is not a table: a reference table is', target
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
  if exists (select from pg_attribute a where a.attrelid = target and a.attname = 'tenant_id' and not a.attisdropped) then
    raise exception 'rowhouse: % has a column tenant_id: it is a tenant table, protect it', target
      using errcode = '55000', constraint = 'rowhouse_unprotectable';
  end if;
  for change in select s.statement from rowhouse.schema_changes(target) s loop
    execute change.statement;
  end loop;
  if exists (select from pg_class c where c.oid = target and c.relowner <> 'rowhouse_owner'::regrole) then
    execute format('alter table %s owner to rowhouse_owner;', target);
  end if;
  execute format('revoke all on %s from public, rowhouse_app cascade; grant select on %1$s to rowhouse_app;', target);
end
$$;

grant execute on function
  rowhouse.tenant_condition(), rowhouse.unit_condition(), rowhouse.canonical_policies(boolean), rowhouse.deparsed(text),
  rowhouse.is_reserved(regclass), rowhouse.columns_of(regclass, smallint[]), rowhouse.led_by_tenant(text),
  rowhouse.foreign_key_by_tenant(pg_constraint), rowhouse.mend_key(pg_constraint), rowhouse.mend_index(regclass),
  rowhouse.mend_sequence(regclass, smallint, regclass), rowhouse.views_around(regclass), rowhouse.protect_faults(regclass, boolean),
  rowhouse.protect_changes(regclass, boolean), rowhouse.schema_changes(regclass), rowhouse.has_exact_grants(regclass),
  rowhouse.with_children(regclass), rowhouse.open_parents(regclass), rowhouse.plan_protect(regclass, boolean),
  rowhouse.protect(regclass, boolean), rowhouse.publish_reference(regclass)
to rowhouse_migrator;

reset role;
