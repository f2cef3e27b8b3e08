import { type Rule, SURVEYED } from '../../rule.ts'
import { REACH } from '../policy/own-objects.ts'
import { VIEWS_AROUND } from './views-around.ts'

export const matviewReadable: Rule = {
  id: 'L12',
  name: 'matview-readable',
  severity: 'error',
  title: 'Materialized view of tenant rows that the application may read',
  why: 'A materialized view holds the rows of all tenants its owner could read when it was refreshed, and PostgreSQL has no row-level security for it. Whoever may read it, or a view over it, reads all of them.',
  remedy: 'Keep sums per tenant in a protected table, or read the materialized view in cross-tenant work only.',
  applies: 'any',
  sql: `with recursive ${SURVEYED}, ${REACH}, ${VIEWS_AROUND}
    select format('%I.%I', n.nspname, v.relname) as object,
           case when o.oid = v.oid
                then format('materialized view %I.%I holds rows of %s and the application may read it', n.nspname, v.relname, a.targets)
                else format('view %I.%I reads the materialized view %I.%I, which holds rows of %s, and the application may read it', n.nspname, v.relname, m.nspname, o.relname, a.targets) end as message,
           format('revoke all on %I.%I from public%s;', n.nspname, v.relname, (select string_agg(format(', %I', r.name), '' order by r.name) from app_role r)) as mend
      from (select x.relation, x.opened_by, string_agg(t.name, ', ' order by t.name) as targets
              from around x join tenant_table t on t.oid = x.target group by x.relation, x.opened_by) a
      join used u on u.oid = a.relation
      join pg_class v on v.oid = a.relation
      join pg_namespace n on n.oid = v.relnamespace
      join pg_class o on o.oid = a.opened_by and o.relkind = 'm'
      join pg_namespace m on m.oid = o.relnamespace`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create materialized view totals as select tenant_id, count(*) from t group by tenant_id;
grant select on totals to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create materialized view totals as select tenant_id, count(*) as n from t group by tenant_id;
create view sums as select sum(n) from totals;
grant select on sums to public`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create materialized view totals as select tenant_id, count(*) from t group by tenant_id`,
      `create table port (code text primary key);
create materialized view ports as select count(*) from port;
grant select on ports to rowhouse_app`,
    ],
  },
}
