import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from '../policy/own-objects.ts'
import { foreignKeyWithTenant } from './key-sql.ts'

/** Elsewhere: values nobody chooses tell nothing, so keys of generated ids, uuids and references are left alone. */
const CHOSEN = `exists (
  select from unnest(u.columns) v (number) join pg_attribute a on a.attrelid = u.oid and a.attnum = v.number
   where a.atttypid <> 'uuid'::regtype and a.attidentity = '' and not a.atthasdef
     and not exists (select from pg_constraint r where r.contype = 'f' and r.conrelid = u.oid and a.attnum = any (r.conkey)))`

export const keyNotByTenant: Rule = {
  id: 'L27',
  name: 'key-not-by-tenant',
  severity: 'error',
  title: 'Primary key, unique key or exclusion that spans tenants',
  why: 'A key is checked past policies, over the rows of all tenants. A value that another tenant has is refused, so a tenant tries values and learns which ones others have: e-mail addresses, order numbers, booked times. It also takes values away from the others.',
  remedy:
    'Put the tenant first in the key. What has to be unique over all tenants, e.g. a domain name, belongs into a table the application cannot write.',
  applies: 'any',
  sql: `with ${SURVEYED},
    tenant as (
      select t.*, a.attnum from tenant_table t join pg_attribute a on a.attrelid = t.oid and a.attname = t.column_name and not a.attisdropped),
    uniqueness as (
      select t.oid, t.name, t.column_name, t.attnum, k.oid as constraint_oid, k.conname as key_name, k.contype, k.conindid as index_oid, k.conkey as columns,
             k.conkey[1] as first, t.attnum = any (k.conkey) as contained, format('constraint %I on %s', k.conname, t.name) as object
        from tenant t join pg_constraint k on k.conrelid = t.oid and k.contype in ('p', 'u', 'x') and k.conparentid = 0
      union all
      select t.oid, t.name, t.column_name, t.attnum, null, x.relname, 'i', i.indexrelid, (i.indkey::smallint[])[0:i.indnkeyatts - 1],
             i.indkey[0], t.attnum = any ((i.indkey::smallint[])[0:i.indnkeyatts - 1]), format('index %I.%I', n.nspname, x.relname)
        from tenant t join pg_index i on i.indrelid = t.oid and i.indisunique
        join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = x.relnamespace
       where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
         and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)),
    -- Foreign keys that refer to the key go before it and come back with the tenant on both sides.
    reference as (
      select f.conindid, string_agg(format('alter table %s drop constraint %I; ', coalesce(h.name, f.conrelid::regclass::text), f.conname), '' order by f.oid) as dropped,
             string_agg(format(' alter table %s add constraint %I %s;', h.name, f.conname,
               case when h.attnum = any (f.conkey) then pg_get_constraintdef(f.oid) else ${foreignKeyWithTenant('f', 'h.attnum', 'u.attnum')} end), '' order by f.oid) as added,
             bool_and(h.oid is not null) as complete
        from uniqueness u join pg_constraint f on f.contype = 'f' and f.conindid = u.index_oid and f.conparentid = 0
        left join tenant h on h.oid = f.conrelid
       group by f.conindid)
    select u.object,
           format('%s on %s %s', case u.contype when 'p' then format('primary key %I', u.key_name) when 'u' then format('unique key %I', u.key_name)
                    when 'x' then format('exclusion %I', u.key_name) else format('unique index %I', u.key_name) end, u.name,
                  case when u.contained then format('has %I, and not first', u.column_name)
                       else format('does not start with %I: one tenant can tell which values another one has', u.column_name) end) as message,
           case when u.contained then null
                when u.contype in ('p', 'u') and coalesce(r.complete, true)
                then coalesce(r.dropped, '') || format('alter table %s drop constraint %I, add constraint %2$I %3$s;', u.name, u.key_name,
                       regexp_replace(pg_get_constraintdef(u.constraint_oid), '\\(', format('(%I, ', u.column_name))) || coalesce(r.added, '')
                when u.contype = 'x'
                then format('create extension if not exists btree_gist; alter table %s drop constraint %I, add constraint %2$I %3$s;', u.name, u.key_name,
                       regexp_replace(pg_get_constraintdef(u.constraint_oid), '\\(', format('(%I with =, ', u.column_name)))
                when u.contype = 'i' and r.conindid is null and strpos(u.object || u.name, '(') = 0
                then format('drop %s; %s;', u.object, regexp_replace(pg_get_indexdef(u.index_oid), '\\(', format('(%I, ', u.column_name)))
           end as mend
      from uniqueness u left join reference r on r.conindid = u.index_oid
     where u.first is distinct from u.attnum and (${INSTALLED} or (not u.contained and ${CHOSEN}))`,
  fixtures: {
    fires: [
      'create table t (tenant_id uuid not null, id bigint primary key)',
      'create table t (tenant_id uuid not null, id bigint, email text unique, primary key (tenant_id, id))',
      `create table t (tenant_id uuid not null, id bigint, email text, primary key (tenant_id, id));
create unique index on t (lower(email))`,
      `create table t (tenant_id uuid not null, id bigint, during tstzrange, primary key (tenant_id, id), exclude using gist (during with &&))`,
      'create table t (tenant_id uuid not null, id bigint, primary key (id, tenant_id))',
      `create table customer (tenant_id uuid not null, id bigint primary key);
create table bill (tenant_id uuid not null, id bigint, customer_id bigint references customer on delete set null, primary key (tenant_id, id))`,
    ],
    quiet: [
      'create table t (tenant_id uuid not null, id bigint, email text, primary key (tenant_id, id), unique (tenant_id, email))',
      `create extension btree_gist;
create table t (tenant_id uuid not null, id bigint, during tstzrange, primary key (tenant_id, id), exclude using gist (tenant_id with =, during with &&))`,
      'create table port (code text primary key, name text unique)',
      `create table t (tenant_id uuid not null, day date, primary key (tenant_id, day)) partition by range (day);
create table t_2026 partition of t for values from ('2026-01-01') to ('2027-01-01')`,
    ],
    elsewhere: {
      fires: [
        'create table member (id bigint generated always as identity primary key, org_id bigint not null, email text unique)',
      ],
      quiet: [
        'create table member (id bigserial primary key, org_id bigint not null, email text, unique (email, org_id))',
        'create table member (id uuid primary key, org_id bigint not null)',
      ],
    },
  },
}
