import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, protectAgain } from './own-objects.ts'

export const policiesIncomplete: Rule = {
  id: 'L06',
  name: 'policies-incomplete',
  severity: 'error',
  title: 'Row-level security without a permissive policy',
  why: 'Row-level security that no permissive policy opens hides every row from every tenant: the application finds nothing and nobody gets an error. People mend that in a hurry, with a policy that is always true. Rowhouse always makes the pair: one policy that opens, one that limits.',
  remedy: 'Run `rowhouse protect` on the table again, or write the missing policy.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select t.name as object,
           format('%s has row-level security and %s: no tenant sees a row', t.name,
                  case when p.restrictive > 0 then 'only restrictive policies' else 'no policy' end) as message,
           case when ${INSTALLED} then ${protectAgain('t.oid', 't.name')} end as mend
      from tenant_table t
      join pg_class c on c.oid = t.oid
      left join (select polrelid, count(*) filter (where polpermissive) as permissive, count(*) filter (where not polpermissive) as restrictive
                   from pg_policy group by polrelid) p on p.polrelid = t.oid
     where c.relrowsecurity and coalesce(p.permissive, 0) = 0
       -- A partition without any policy is closed on purpose: it is read through its parent.
       and (p.restrictive > 0 or not exists (select from pg_inherits i where i.inhrelid = t.oid))`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
drop policy rowhouse_tenant on t`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
alter table t enable row level security`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table central (id bigint primary key); alter table central enable row level security',
    ],
    elsewhere: {
      fires: [
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy wall on invoice as restrictive using (org_id = 1)`,
      ],
      quiet: [
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = 1)`,
      ],
    },
  },
}
