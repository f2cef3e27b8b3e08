import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, ownSchema } from '../policy/own-objects.ts'
import { columnList } from './key-sql.ts'

/** Asked per finding and not joined: tables are many and findings few. */
const TENANT_FIRST = `(
  select array_agg(o.number order by o.number = (
      select a.attnum from tenant_table t join pg_attribute a on a.attrelid = t.oid and a.attname = t.column_name where t.oid = k.conrelid) desc nulls last, o.place)
    from unnest(k.conkey) with ordinality o (number, place))`

export const foreignKeyWithoutIndex: Rule = {
  id: 'L32',
  name: 'foreign-key-without-index',
  severity: 'warning',
  title: 'Foreign key without an index on its columns',
  why: 'Deleting a referenced row looks for the rows that refer to it. Without an index that reads the whole table, the rows of all tenants, with locks held: one tenant that clears out its data slows all others down. Not asked of references to tables the application cannot change, where such an index would cost every write and serve nobody.',
  remedy: 'Make the index.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select format('constraint %I on %I.%I', k.conname, n.nspname, c.relname) as object,
           format('foreign key %I on %I.%I has no index on its columns: changing a referenced row reads the table', k.conname, n.nspname, c.relname) as message,
           format('create index %son %I.%I (%s);', case c.relkind when 'p' then '' else 'concurrently ' end, n.nspname, c.relname,
                  ${columnList('k.conrelid', TENANT_FIRST)}) as mend
      from pg_constraint k
      join pg_class c on c.oid = k.conrelid
      join pg_namespace n on n.oid = c.relnamespace
     where k.contype = 'f' and k.conparentid = 0 and ${ownSchema('n')} and (${INSTALLED} or exists (select from tenant_table))
       and not exists (
         select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null
            and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)
       and (not exists (select from app_role)
            or exists (select from app_role a where has_table_privilege(a.oid, k.confrelid, 'delete') or has_any_column_privilege(a.oid, k.confrelid, 'update')))`,
  fixtures: {
    fires: [
      `create table customer (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table bill (tenant_id uuid not null, id bigint, customer_id bigint, primary key (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id));
grant delete on customer to rowhouse_app`,
      `create table customer (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table bill (tenant_id uuid not null, id bigint, customer_id bigint, primary key (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id));
create index on bill (tenant_id, customer_id) where id > 0;
grant delete on customer to rowhouse_app`,
    ],
    quiet: [
      `create table customer (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table bill (tenant_id uuid not null, id bigint, customer_id bigint, primary key (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id));
create index on bill (customer_id, tenant_id, id);
grant delete on customer to rowhouse_app`,
      `create table port (code text primary key);
create table leg (tenant_id uuid not null, id bigint, origin text references port, primary key (tenant_id, id));
grant select on port to rowhouse_app`,
    ],
  },
}
