import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from '../policy/own-objects.ts'

export const indexNotByTenant: Rule = {
  id: 'L29',
  name: 'index-not-by-tenant',
  severity: 'warning',
  title: 'Index on a tenant table that does not start with the tenant',
  why: 'Policies ask for the tenant first, so an index that starts with something else is passed over, or is read across the entries of all tenants: slower with every tenant, and in a time that depends on what the others have. A condition by a leakproof operator is looked up in such an index before the policy is asked.',
  remedy:
    'Put the tenant first. For GIN and GiST that takes the extension btree_gin or btree_gist; an index on text search alone is of no use behind a policy, because its operators are not leakproof.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('index %I.%I', n.nspname, x.relname) as object,
           format('index %I on %s does not start with %I', x.relname, t.name, t.column_name) as message,
           case when am.amname = 'btree' and strpos(x.relname || t.name, '(') = 0 and a.attnum <> all (i.indkey)
                then regexp_replace(regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE INDEX .*? ON (ONLY )?', case c.relkind when 'p' then 'CREATE INDEX ON ' else 'CREATE INDEX CONCURRENTLY ON ' end),
                                    '\\(', format('(%I, ', t.column_name))
                     || format('; drop index %s%I.%I;', case c.relkind when 'p' then '' else 'concurrently ' end, n.nspname, x.relname) end as mend
      from tenant_table t
      join pg_class c on c.oid = t.oid
      join pg_attribute a on a.attrelid = t.oid and a.attname = t.column_name and not a.attisdropped
      join pg_index i on i.indrelid = t.oid and not i.indisunique and i.indkey[0] <> a.attnum
      join pg_class x on x.oid = i.indexrelid
      join pg_namespace n on n.oid = x.relnamespace
      -- Other access methods hold no uuid: block ranges, vectors.
      join pg_am am on am.oid = x.relam and am.amname in ('btree', 'hash', 'gin', 'gist')
     where (${INSTALLED} or c.relrowsecurity)
       and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype = 'x')
       and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, status text, primary key (tenant_id, id));
create index on t (status)`,
      `create table t (tenant_id uuid not null, id bigint, status text, primary key (tenant_id, id));
create index on t (lower(status), tenant_id)`,
      `create table t (tenant_id uuid not null, id bigint, tags text[], primary key (tenant_id, id));
create index on t using gin (tags)`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, status text, at timestamptz, primary key (tenant_id, id));
create index on t (tenant_id, status);
create index on t using brin (at)`,
      'create table port (code text primary key, name text); create index on port (name)',
    ],
    elsewhere: {
      fires: [
        `create table bill (org_id bigint, status text);
alter table bill enable row level security;
create index on bill (status)`,
      ],
      quiet: ['create table bill (org_id bigint, status text); create index on bill (status)'],
    },
  },
}
