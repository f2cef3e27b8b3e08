import { type Rule, SURVEYED } from '../../rule.ts'

export const ruleOnTenantTable: Rule = {
  id: 'L16',
  name: 'rule-on-tenant-table',
  severity: 'error',
  title: 'Rewrite rule that touches a tenant table',
  why: 'A rule replaces a statement or adds others to it, and what it adds runs with the rights of the owner of the table. A write to one table can then read or change rows of another past its policies, and nothing in the statement shows it.',
  remedy: 'Use a trigger instead: it runs with the rights of the caller and sees the policies.',
  applies: 'any',
  sql: `with ${SURVEYED}
    select distinct format('rule %I on %I.%I', w.rulename, n.nspname, c.relname) as object,
           case when t.oid = c.oid then format('rule %I rewrites statements on %s', w.rulename, t.name)
                else format('rule %I on %I.%I touches %s with the rights of the owner of %2$I.%3$I', w.rulename, n.nspname, c.relname,
                            (select min(x.name) from tenant_table x join pg_depend e on e.refobjid = x.oid and e.refclassid = 'pg_class'::regclass
                              where e.classid = 'pg_rewrite'::regclass and e.objid = w.oid)) end as message,
           format('drop rule %I on %I.%I;', w.rulename, n.nspname, c.relname) as mend
      from pg_rewrite w
      join pg_class c on c.oid = w.ev_class
      join pg_namespace n on n.oid = c.relnamespace
      left join tenant_table t on t.oid = c.oid
     where not (c.relkind in ('v', 'm') and w.ev_type = '1')
       and (t.oid is not null or exists (select from pg_depend d join tenant_table x on x.oid = d.refobjid
              where d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass))`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create rule keep as on delete to t do instead nothing`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create table log (id bigint);
create rule peek as on insert to log do also delete from t`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create view v with (security_invoker) as select * from t`,
      'create table log (id bigint); create rule keep as on delete to log do instead nothing',
    ],
  },
}
