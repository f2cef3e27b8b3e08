import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, protectAgain } from './own-objects.ts'

export const checkDiffers: Rule = {
  id: 'L05',
  name: 'check-differs',
  severity: 'error',
  title: 'Policy checks what is written otherwise than what is read',
  why: 'USING decides which rows are seen, WITH CHECK which may be written. Where the second is missing or weaker, a tenant plants rows among those of another one, or moves its own rows there. Nobody notices, because the writer cannot read them back.',
  remedy: 'Give the policy the same condition twice, or run `rowhouse protect` on the table again.',
  applies: 'any',
  sql: `with ${SURVEYED},
    policy as (
      select t.oid, t.name as table_name, t.column_name, p.polname, p.polcmd, p.polpermissive,
             pg_get_expr(p.polqual, p.polrelid) as using_text, pg_get_expr(p.polwithcheck, p.polrelid) as check_text
        from tenant_table t join pg_policy p on p.polrelid = t.oid)
    select format('policy %I on %s', p.polname, p.table_name) as object,
           case when p.check_text is null then format('policy %I on %s has no WITH CHECK', p.polname, p.table_name)
                when p.using_text is null then format('policy %I on %s lets rows be inserted whose %s nobody checks: WITH CHECK %s', p.polname, p.table_name, p.column_name, p.check_text)
                else format('policy %I on %s reads by one condition and writes by another: WITH CHECK %s', p.polname, p.table_name, p.check_text) end as message,
           case when ${INSTALLED} then ${protectAgain('p.oid', 'p.table_name')}
                when p.using_text is not null then format('alter policy %I on %s with check (%s);', p.polname, p.table_name, p.using_text) end as mend
      from policy p
     where case when ${INSTALLED} then p.polcmd in ('*', 'w') and p.check_text is distinct from p.using_text
                -- Elsewhere a stricter check is somebody's design; one that never looks at the tenant is a hole.
                else p.polpermissive and p.polcmd in ('*', 'w', 'a') and p.check_text is distinct from p.using_text
                 and position(quote_ident(p.column_name) in p.check_text) = 0
                 and p.check_text !~ 'SELECT|\\w\\((.*\\w)?\\)' end`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter policy rowhouse_wall on t with check (true)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
drop policy rowhouse_tenant on t;
create policy rowhouse_tenant on t using (tenant_id = (select coalesce((select s.id from rowhouse.sealed s), rowhouse.reject())))`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table central (id bigint); create policy p on central using (id > 1) with check (true)',
    ],
    elsewhere: {
      fires: [
        `create table invoice (org_id bigint, id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = 1) with check (true)`,
        `create table invoice (org_id bigint, id bigint);
alter table invoice enable row level security;
create policy add on invoice for insert with check (true)`,
      ],
      quiet: [
        `create table invoice (org_id bigint, id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = 1 or id = 0) with check (org_id = 1)`,
        `create table invoice (org_id bigint, id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = 1)`,
      ],
    },
  },
}
