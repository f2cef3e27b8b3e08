import { type Rule, SURVEYED } from '../../rule.ts'
import { REACH } from '../policy/own-objects.ts'
import { VIEWS_AROUND } from './views-around.ts'

export const viewAroundPolicies: Rule = {
  id: 'L11',
  name: 'view-around-policies',
  severity: 'error',
  title: 'View that reaches rows past the policies',
  why: 'A view reads and writes as its owner. Where policies do not bind that owner, whoever may use the view reads, and often changes, the rows of all tenants. A view over such a view opens the same way.',
  remedy: 'Set `security_invoker` on the view, or take the grant away.',
  applies: 'any',
  sql: `with recursive ${SURVEYED}, ${REACH}, ${VIEWS_AROUND}
    select format('%I.%I', n.nspname, v.relname) as object,
           format('view %I.%I reaches %s past its policies and the application may %s it%s', n.nspname, v.relname,
                  (select string_agg(t.name, ', ' order by t.name) from tenant_table t where t.oid = any (a.targets)), lower(u.rights),
                  case when o.oid <> v.oid then format(', because %I.%I runs as its owner', m.nspname, o.relname) else '' end) as message,
           format('alter view %I.%I set (security_invoker = true);', m.nspname, o.relname) as mend
      from (select relation, min(opened_by) as opened_by, array_agg(target) as targets from around group by relation) a
      join used u on u.oid = a.relation
      join pg_class v on v.oid = a.relation and v.relkind = 'v'
      join pg_namespace n on n.oid = v.relnamespace
      join pg_class o on o.oid = a.opened_by and o.relkind = 'v'
      join pg_namespace m on m.oid = o.relnamespace`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view v as select * from t;
grant select on v to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view inner_view as select * from t;
create view v as select id from inner_view;
alter view v owner to rowhouse_owner;
grant select on inner_view to rowhouse_owner;
grant select on v to public`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view v as select * from t;
grant delete on v to rowhouse_app`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view v with (security_invoker = true) as select * from t;
grant select on v to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view v as select * from t;
alter view v owner to rowhouse_owner;
grant select on v to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view v as select * from t`,
    ],
    elsewhere: {
      fires: [
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = 1);
create view totals as select count(*) from invoice;
grant select on totals to rowhouse_app`,
      ],
      quiet: [
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = 1);
create view totals with (security_invoker) as select count(*) from invoice;
grant select on totals to rowhouse_app`,
      ],
    },
  },
}
