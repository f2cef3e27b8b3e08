import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED } from '../policy/own-objects.ts'

export const noPrimaryKey: Rule = {
  id: 'L33',
  name: 'no-primary-key',
  severity: 'error',
  title: 'Tenant table without primary key',
  why: 'Nothing names a row of such a table, so the same row may be there twice, its changes cannot be replicated, and a tenant that moves cannot be compared with its copy. Its updates fail as soon as a publication contains it.',
  remedy: 'Give it a primary key that starts with the tenant.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select t.name as object, format('%s has no primary key', t.name) as message,
           case when ${INSTALLED} and exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'id' and not a.attisdropped and a.attnotnull)
                then format('alter table %s add primary key (%I, id);', t.name, t.column_name) end as mend
      from tenant_table t join pg_class c on c.oid = t.oid
     where not c.relispartition and not exists (select from pg_constraint k where k.conrelid = t.oid and k.contype = 'p')`,
  fixtures: {
    fires: [
      'create table t (tenant_id uuid not null, id bigint not null)',
      'create table t (tenant_id uuid not null, id bigint not null, unique (tenant_id, id))',
      'create table base (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); create table child () inherits (base)',
    ],
    quiet: [
      'create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id))',
      'create table log (line text)',
      `create table t (tenant_id uuid not null, day date, primary key (tenant_id, day)) partition by range (day);
create table t_2026 partition of t for values from ('2026-01-01') to ('2027-01-01')`,
    ],
  },
}
