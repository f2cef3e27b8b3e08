import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from './own-objects.ts'

export const tenantColumn: Rule = {
  id: 'L08',
  name: 'tenant-column',
  severity: 'error',
  title: 'Tenant column that may be empty, of another type or not filled in',
  why: 'A row without a tenant belongs to nobody: policies hide it, and a foreign key of two columns is not checked when one of them is null. A text column takes the empty string for a tenant. Without the default, every INSERT has to name the tenant, and one of them names the wrong one.',
  remedy:
    'Give rows without a tenant one, then run the SQL of the finding. Cast the column to uuid where it is of another type.',
  applies: 'any',
  sql: `with ${SURVEYED},
    col as (
      select t.oid, t.name, t.column_name, a.attnotnull, a.atttypid, a.attgenerated, format_type(a.atttypid, a.atttypmod) as type,
             pg_get_expr(d.adbin, d.adrelid) as default_text, c.relispartition, c.relrowsecurity,
             -- From PostgreSQL 18 on, NOT NULL can be promised for new rows only.
             (select k.conname from pg_constraint k where k.conrelid = t.oid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated) as unproven
        from tenant_table t
        join pg_class c on c.oid = t.oid
        join pg_attribute a on a.attrelid = t.oid and a.attname = t.column_name and not a.attisdropped
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum)
    select format('%s.%I', c.name, c.column_name) as object, f.message, f.mend
      from col c,
           lateral (values
             (not c.attnotnull and not (c.relispartition and not ${INSTALLED}),
              format('%s.%I may be null: such a row belongs to no tenant', c.name, c.column_name),
              format('alter table %s alter column %I set not null;', c.name, c.column_name)),
             (c.attnotnull and c.unproven is not null,
              format('%s.%I may be null in rows from before its constraint %s', c.name, c.column_name, quote_ident(c.unproven)),
              format('alter table %s validate constraint %s;', c.name, quote_ident(c.unproven))),
             (${INSTALLED} and c.atttypid <> 'uuid'::regtype,
              format('%s.%I is %s, wanted uuid', c.name, c.column_name, c.type),
              format('alter table %s alter column %I drop default, alter column %2$I type uuid using %2$I::uuid;', c.name, c.column_name)),
             (${INSTALLED} and c.attgenerated <> '',
              format('%s.%I is computed from other columns: whoever writes those chooses the tenant', c.name, c.column_name),
              null),
             (${INSTALLED} and c.attgenerated = '' and c.relrowsecurity and c.default_text is distinct from 'rowhouse.current_tenant_id()',
              format('%s.%I is not filled in with the tenant of the context', c.name, c.column_name),
              format('alter table %s alter column %I set default rowhouse.current_tenant_id();', c.name, c.column_name))
           ) f (needed, message, mend)
     where f.needed`,
  fixtures: {
    fires: [
      'create table t (tenant_id uuid, id bigint primary key)',
      'create table t (tenant_id text not null, id bigint primary key)',
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter table t alter column tenant_id drop default`,
      `create table t (owner uuid, tenant_id uuid not null generated always as (owner) stored, id bigint)`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table central (organization_id bigint, id bigint primary key)',
    ],
    elsewhere: {
      fires: ['create table invoice (org_id bigint, id bigint primary key)'],
      quiet: ['create table invoice (org_id bigint not null, id bigint primary key)'],
    },
  },
}
