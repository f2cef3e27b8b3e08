import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, notOfExtension, ownSchema, protectAgain } from './own-objects.ts'

export const tableWithoutRls: Rule = {
  id: 'L01',
  name: 'table-without-rls',
  severity: 'error',
  title: 'Tenant table without row-level security',
  why: 'Nothing but the WHERE clauses of the application keeps tenants apart. One that is forgotten, or one injected statement, reads and changes the rows of all of them. Policies on a table change nothing as long as row-level security is off.',
  remedy: 'Run `rowhouse protect` on the table, or write a policy by hand where Rowhouse is not used.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select found.name as object,
           case when found.policies > 0
                then format('%s has %s policies and row-level security is off: none of them is applied', found.name, found.policies)
                else format('%s has rows of tenants (%s) and no row-level security', found.name, found.column_name) end as message,
           case when found.column_name is not null and ${INSTALLED} then ${protectAgain('found.oid', 'found.name')}
                else format('alter table %s enable row level security, force row level security;', found.name) end as mend
      from (select c.oid, coalesce(t.name, format('%I.%I', n.nspname, c.relname)) as name, t.column_name,
                   (select count(*) from pg_policy p where p.polrelid = c.oid) as policies,
                   exists (select from pg_inherits i join tenant_table p on p.oid = i.inhparent where i.inhrelid = c.oid) as is_part
              from pg_class c
              join pg_namespace n on n.oid = c.relnamespace
              left join tenant_table t on t.oid = c.oid
             where c.relkind in ('r', 'p') and not c.relrowsecurity and ${ownSchema('n')} and ${notOfExtension('pg_class', 'c.oid')}) found
     where found.policies > 0 or (found.column_name is not null and not found.is_part)`,
  fixtures: {
    fires: [
      'create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id))',
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter table t disable row level security`,
      'create table port (code text primary key); create policy all_rows on port using (true)',
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table t (id bigint primary key)',
    ],
    elsewhere: {
      fires: ['create table invoice (id bigint primary key, "organizationId" bigint not null)'],
      quiet: [
        'create table invoice (id bigint primary key, org_id bigint not null); alter table invoice enable row level security',
      ],
    },
  },
}
