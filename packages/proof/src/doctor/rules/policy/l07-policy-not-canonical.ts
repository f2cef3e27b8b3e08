import { type Rule, SURVEYED } from '../../rule.ts'
import { CANONICAL } from './canonical-policies.ts'
import { INSTALLED, protectAgain } from './own-objects.ts'

export const policyNotCanonical: Rule = {
  id: 'L07',
  name: 'policy-not-canonical',
  severity: 'error',
  title: 'Policy that does not keep tenants apart',
  why: 'A policy looks right and lets everything through: `true`, `tenant_id is not null`, or a condition that also holds while no tenant is set. Where Rowhouse is installed, nobody has to judge a text: policies are compared with the ones Rowhouse makes, byte for byte. Elsewhere the rule names conditions that are always true, that hold without a tenant, or that believe a value which any statement may change.',
  remedy:
    'Run `rowhouse protect` on the table again; drop policies that are not of Rowhouse. Elsewhere: compare the tenant column with a value that SQL of a tenant cannot set.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${CANONICAL},
    policy as (
      select t.oid, t.name as table_name, t.column_name, p.polname, p.polcmd, p.polpermissive, p.polroles,
             pg_get_expr(p.polqual, p.polrelid) as using_text, pg_get_expr(p.polwithcheck, p.polrelid) as check_text
        from tenant_table t
        join pg_policy p on p.polrelid = t.oid),
    strange as (
      select p.table_name, p.polname,
             case when w.name is null then 'is not one of Rowhouse'
                  when p.polpermissive <> w.permissive then case when w.permissive then 'is restrictive, wanted permissive' else 'is permissive, wanted restrictive' end
                  when p.polcmd <> '*' then 'holds for one command, wanted all'
                  when p.polroles <> '{0}' then 'holds for some roles, wanted all'
                  when p.using_text is distinct from w.condition then format('has another condition than the one Rowhouse makes: %s', coalesce(p.using_text, 'none'))
                  when p.check_text is distinct from w.condition then format('checks writes otherwise than Rowhouse does: %s', coalesce(p.check_text, 'not at all')) end as fault,
             case when w.name is null then format('drop policy %I on %s;', p.polname, p.table_name)
                  else ${protectAgain('p.oid', 'p.table_name')} end as mend
        from policy p left join canonical w on w.oid = p.oid and w.name = p.polname
       where ${INSTALLED}),
    doubtful as (
      select p.table_name, p.polname,
             case when e.text ~ '^\\(*(true|''t''::boolean|1 = 1|NOT false)\\)*$' or e.text = format('(%I IS NOT NULL)', p.column_name) then format('is always true: %s', e.text)
                  when e.text ~ ' OR ' and e.text ~ 'current_setting\\(.*\\)\\)* (IS NULL|= ''''::text)' then format('holds for all rows while no tenant is set: %s', e.text)
                  when e.text ~ format('COALESCE\\(.*current_setting\\(.*, \\(*%s', quote_ident(p.column_name)) then format('holds for all rows while no tenant is set: %s', e.text)
                  when e.text ~* '(raw_)?user_meta_?data' then format('believes what users write about themselves: %s', e.text)
                  when e.text ~ 'current_setting\\(' then format('believes a setting that any statement, injected ones included, may change: %s', e.text) end as fault,
             null as mend
        from policy p, lateral (select t.text from unnest(array[p.using_text, p.check_text]) with ordinality t (text, place)
                                 where t.text is not null order by t.place limit 1) e
       where p.polpermissive and not ${INSTALLED})
    select format('policy %I on %s', f.polname, f.table_name) as object,
           format('policy %I on %s %s', f.polname, f.table_name, f.fault) as message, f.mend
      from (select * from strange union all select * from doubtful) f
     where f.fault is not null`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create policy support on t for select using (true)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter policy rowhouse_tenant on t using (tenant_id is not null) with check (tenant_id is not null)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter policy rowhouse_wall on t to rowhouse_app`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter policy rowhouse_tenant on t using (tenant_id = (select s.id from rowhouse.sealed s))`,
      `create table t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t', unit_scope => true);
alter policy rowhouse_unit on t using (true) with check (true)`,
      // The table of one home believes the tenant of another.
      `create schema t_acme_00000000000a;
create table t_acme_00000000000a.t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t_acme_00000000000a.t');
do $$ declare other text := rowhouse.tenant_condition('t_bolt_00000000000b'); begin
  execute format('alter policy rowhouse_wall on t_acme_00000000000a.t using (%s) with check (%1$s)', other);
end $$`,
      // A table of one home, as protected while it was everybody's.
      `create schema t_acme_00000000000a;
create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter table t set schema t_acme_00000000000a`,
    ],
    quiet: [
      `create schema t_acme_00000000000a;
create table t_acme_00000000000a.t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t_acme_00000000000a.t', unit_scope => true)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      `create table t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t', unit_scope => true)`,
      'create table central (id bigint); alter table central enable row level security; create policy all_rows on central using (true)',
    ],
    elsewhere: {
      fires: [
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (true)`,
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (current_setting('app.org', true) is null or org_id = current_setting('app.org', true)::bigint)`,
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = coalesce(nullif(current_setting('app.org', true), '')::bigint, org_id))`,
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id = current_setting('app.org')::bigint)`,
      ],
      quiet: [
        `create table member (login name, org_id bigint);
create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy own on invoice using (org_id in (select m.org_id from member m where m.login = current_user))`,
        `create table invoice (org_id bigint);
alter table invoice enable row level security;
create policy wall on invoice as restrictive using (true)`,
      ],
    },
  },
}
