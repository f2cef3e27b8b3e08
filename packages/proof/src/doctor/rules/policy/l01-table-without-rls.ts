import { type Rule, SURVEYED } from '../../rule.ts'

export const tableWithoutRls: Rule = {
  id: 'L01',
  name: 'table-without-rls',
  severity: 'error',
  title: 'Tenant table without row-level security',
  why: 'Nothing but the WHERE clauses of the application keeps tenants apart. One that is forgotten, or one injected SQL, reads and changes the rows of all of them.',
  remedy: 'Run `rowhouse protect` on the table, or write a policy by hand where Rowhouse is not used.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select t.name as object,
           format('%s has rows of tenants (%s) and no row-level security', t.name, t.column_name) as message,
           case when $1::jsonb->>'installed' is not null then format('select rowhouse.protect(%L);', t.name)
                else format('alter table %s enable row level security, force row level security;', t.name) end as mend
      from tenant_table t join pg_class c on c.oid = t.oid
     where not c.relrowsecurity`,
  fixtures: {
    fires: ['create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id))'],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table t (id bigint primary key)',
    ],
  },
}
