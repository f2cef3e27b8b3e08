import { type Rule, SURVEYED } from '../../rule.ts'
import { ownSchema } from '../policy/own-objects.ts'

/**
 * What is left of a policy when its sub-selects are gone: innermost parentheses first, those of a sub-select are dropped
 * with all they hold, all others become brackets, until none is left. Literals and casts go before that.
 */
const OUTSIDE_OF_SUBSELECTS = `
outside (expression, rest, depth) as (
  select x.expression, regexp_replace(regexp_replace(x.expression, '''(?:[^'']|'''')*''', '''''', 'g'), '::"?[a-z_][a-z0-9_ .]*"?(\\[\\])?', '', 'g'), 0
    from (select distinct expression from policy) x
  union all
  select o.expression, regexp_replace(regexp_replace(o.rest, '\\(\\s*SELECT [^()]*\\)', ' ', 'g'), '\\(([^()]*)\\)', '[\\1]', 'g'), o.depth + 1
    from outside o where o.rest ~ '\\([^()]*\\)' and o.depth < 100)`

/** A call whose arguments are constants: PostgreSQL may ask it once. */
const CONSTANT_ARGUMENTS = `\\[(''|,| |true|false|NULL|[0-9.])*\\]`

export const policyPerRow: Rule = {
  id: 'L35',
  name: 'policy-per-row',
  severity: 'warning',
  title: 'Policy that asks whose turn it is once per row',
  why: 'A call in a policy runs for each row that is looked at; inside a scalar sub-select it runs once per statement and the result serves an index. The difference was a factor of a hundred on a large table, and what one tenant spends there the others wait for.',
  remedy:
    "Wrap the call: `org_id = (select current_setting('app.org_id')::bigint)`. Policies made by `rowhouse protect` are written that way.",
  applies: 'any',
  sql: `with recursive ${SURVEYED},
    tree as (
      select p.oid, p.polname, p.polrelid, format('%I.%I', n.nspname, c.relname) as table_name, e.tree, md5(e.tree::text) as kind
        from pg_policy p join pg_class c on c.oid = p.polrelid and c.relrowsecurity join pg_namespace n on n.oid = c.relnamespace,
             lateral (values (p.polqual), (p.polwithcheck)) e (tree)
       where e.tree is not null and ${ownSchema('n')}),
    -- Most policies are alike, so each kind is written back and judged once. Names of columns do not matter here.
    policy as (
      select k.kind, k.oid, pg_get_expr(k.tree, k.polrelid) as expression from (select distinct on (t.kind) t.* from tree t order by t.kind, t.polrelid) k),
    ${OUTSIDE_OF_SUBSELECTS},
    called as (
      select p.kind, 'current_setting' as name from policy p
      union
      select p.kind, f.proname::text
        from policy p join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_proc'::regclass
        join pg_proc f on f.oid = d.refobjid and f.provolatile <> 'i'),
    found as (
      select p.kind, k.name
        from policy p join called k on k.kind = p.kind
        join outside o on o.expression = p.expression and o.rest !~ '\\([^()]*\\)'
       where o.rest ~ ('\\m' || regexp_replace(k.name, '\\W', '\\\\&', 'g') || '"?${CONSTANT_ARGUMENTS.replaceAll("'", "''")}'))
    select distinct format('policy %I on %s', t.polname, t.table_name) as object,
           format('policy %I on %s calls %s once per row', t.polname, t.table_name, f.name) as message, null as mend
      from tree t join found f on f.kind = t.kind`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
alter table t enable row level security;
create policy usual on t using (tenant_id = current_setting('app.tenant_id', true)::uuid)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create function whose_turn() returns uuid language sql stable as $$ select current_setting('app.tenant_id')::uuid $$;
alter table t enable row level security;
create policy usual on t using (tenant_id = whose_turn() and id > (select 0))`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
alter table t enable row level security;
create policy usual on t for insert with check (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t', unit_scope => true)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
alter table t enable row level security;
create policy usual on t using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create function is_member(team uuid) returns boolean language sql stable as $$ select true $$;
alter table t enable row level security;
create policy usual on t using (is_member(tenant_id))`,
    ],
  },
}
