import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, ownSchema } from '../policy/own-objects.ts'
import { foreignKeyWithTenant, hasUniqueKey } from './key-sql.ts'

export const foreignKeyWithoutTenant: Rule = {
  id: 'L26',
  name: 'foreign-key-without-tenant',
  severity: 'error',
  title: 'Foreign key between tenant tables that does not carry the tenant',
  why: 'Foreign keys are checked past policies. One that names only the id accepts the id of another tenant and refuses one that does not exist, so a tenant finds out which rows others have, hangs rows of its own below them, and keeps them from being deleted. A table that refers to tenant rows and has no tenant of its own holds rows of tenants that nothing keeps apart.',
  remedy:
    'Give the referenced table a key that starts with the tenant (L27), then put the tenant on both sides of the foreign key. A table without a tenant column needs one, filled from the row it refers to.',
  applies: 'any',
  sql: `with ${SURVEYED},
    key as (
      select k.*, here.name as here, ha.attname as here_column, ha.attnum as here_tenant, there.name as there, ta.attname as there_column, ta.attnum as there_tenant,
             format('%I.%I', n.nspname, c.relname) as table_name
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace
        join tenant_table there on there.oid = k.confrelid
        join pg_attribute ta on ta.attrelid = there.oid and ta.attname = there.column_name
        left join tenant_table here on here.oid = k.conrelid
        left join pg_attribute ha on ha.attrelid = here.oid and ha.attname = here.column_name
       where k.contype = 'f' and k.conparentid = 0 and ${ownSchema('n')})
    select format('constraint %I on %s', k.conname, k.table_name) as object,
           format('foreign key %I on %s refers to %s without %I on both sides: it confirms and blocks rows of other tenants', k.conname, k.here, k.there, k.there_column) as message,
           case when k.here_tenant <> all (k.conkey) and k.there_tenant <> all (k.confkey) and ${hasUniqueKey('k.confrelid', 'k.confkey || k.there_tenant')}
                then format('alter table %s drop constraint %I, add constraint %2$I %3$s;', k.here, k.conname, ${foreignKeyWithTenant('k', 'k.here_tenant', 'k.there_tenant')}) end as mend
      from key k
     where k.here is not null
       and not exists (select from unnest(k.conkey, k.confkey) p (here, there) where p.here = k.here_tenant and p.there = k.there_tenant)
       -- Elsewhere the tenant column itself may refer to the table of tenants, which may have a column of such a name too.
       and (${INSTALLED} or k.conkey <> array[k.here_tenant])
    union all
    select format('constraint %I on %s', k.conname, k.table_name),
           format('%s refers to %s by %I and has no tenant column: nothing says whose its rows are, and the application reads them', k.table_name, k.there, k.conname),
           null
      from key k
     where k.here is null and exists (select from app_role a where has_any_column_privilege(a.oid, k.conrelid, 'select'))`,
  fixtures: {
    fires: [
      `create table customer (tenant_id uuid not null, id bigint unique, primary key (tenant_id, id));
create table bill (tenant_id uuid not null, id bigint, customer_id bigint references customer (id), primary key (tenant_id, id))`,
      `create table customer (tenant_id uuid not null, id bigint unique, primary key (tenant_id, id));
create table bill (tenant_id uuid not null, id bigint, customer_id bigint references customer (id) on delete set null, primary key (tenant_id, id))`,
      `create table customer (tenant_id uuid not null, id bigint unique, primary key (tenant_id, id));
create table remark (id bigint primary key, customer_id bigint references customer (id));
grant select on remark to rowhouse_app`,
    ],
    quiet: [
      `create table customer (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table bill (tenant_id uuid not null, id bigint, customer_id bigint, primary key (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id))`,
      `create table port (code text primary key);
create table leg (tenant_id uuid not null, id bigint, origin text references port, primary key (tenant_id, id))`,
      `create table customer (tenant_id uuid not null, id bigint unique, primary key (tenant_id, id));
create table operator_remark (id bigint primary key, customer_id bigint references customer (id))`,
    ],
    elsewhere: {
      fires: [
        `create table project (id bigint primary key, org_id bigint not null);
create table task (id bigint primary key, org_id bigint not null, project_id bigint references project)`,
      ],
      quiet: [
        `create table org (id bigint primary key);
create table project (id bigint, org_id bigint not null references org, primary key (org_id, id));
create table task (id bigint, org_id bigint not null, project_id bigint, primary key (org_id, id),
  foreign key (org_id, project_id) references project (org_id, id))`,
      ],
    },
  },
}
