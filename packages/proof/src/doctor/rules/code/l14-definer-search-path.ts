import { type Rule, SURVEYED } from '../../rule.ts'
import { notOfExtension, ownSchema, REACH } from '../policy/own-objects.ts'

export const definerSearchPath: Rule = {
  id: 'L14',
  name: 'definer-search-path',
  severity: 'error',
  title: 'Definer function that finds its objects by the search path of the caller',
  why: 'The names in a SECURITY DEFINER function are looked up when it runs. Whoever can put a table or function of the same name earlier into the search path has it used with the rights of the owner. Temporary tables come first in every path that does not name pg_temp at its end.',
  remedy: 'Fix the search path on the function: schemas nobody but their owner can create in, and pg_temp last.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH},
    open_schema (name) as (
      select distinct n.nspname::text from pg_namespace n, aclexplode(n.nspacl) acl join reach r on r.oid = acl.grantee where acl.privilege_type = 'CREATE'
      union select n.nspname::text from pg_namespace n join app_role a on a.oid = n.nspowner),
    definer as (
      select p.oid, p.oid::regprocedure::text as name, s.setting, coalesce(e.elements, '{}') as elements
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        left join lateral (select substr(c, strpos(c, '=') + 1) as setting from unnest(p.proconfig) c where c like 'search_path=%') s on true
        left join lateral (select array_agg(trim(both '"' from trim(x.part)) order by x.place) as elements
                             from string_to_table(s.setting, ',') with ordinality x (part, place)) e on true
       -- A body in standard SQL is bound to its objects when it is written.
       where p.prosecdef and p.prosqlbody is null and ${ownSchema('n')} and ${notOfExtension('pg_proc', 'p.oid')}),
    judged as (
      select d.oid, d.name, coalesce((select string_agg(format('%I', x.part), ', ' order by x.place) from unnest(d.elements) with ordinality x (part, place)
                                where x.part not in ('pg_temp', '$user', '') and x.part not in (select name from open_schema)), 'pg_catalog') as safe_part,
             case when d.setting is null then 'has no search path of its own'
                  when d.elements[cardinality(d.elements)] is distinct from 'pg_temp' then format('does not name pg_temp last in its search path (%s)', d.setting)
                  when '$user' = any (d.elements) then format('has a search path that depends on the caller (%s)', d.setting)
                  when exists (select from open_schema o where o.name = any (d.elements))
                  then format('looks into schema %I, where the application may create objects', (select min(o.name) from open_schema o where o.name = any (d.elements))) end as fault
        from definer d)
    select format('routine %s', j.name) as object, format('%s runs with the rights of its owner and %s', j.name, j.fault) as message,
           format('alter routine %s set search_path = %s, pg_temp;', j.name, j.safe_part) as mend
      from judged j where j.fault is not null`,
  fixtures: {
    fires: [
      'create function total() returns int language sql security definer as $$ select 1 $$',
      'create function total() returns int language sql security definer set search_path = pg_catalog, public as $$ select 1 $$',
      `create function total() returns int language sql security definer set search_path = "$user", pg_temp as $$ select 1 $$`,
      `create schema drop_box; grant create on schema drop_box to rowhouse_app;
create function total() returns int language sql security definer set search_path = drop_box, pg_temp as $$ select 1 $$`,
    ],
    quiet: [
      'create function total() returns int language sql security definer set search_path = pg_catalog, public, pg_temp as $$ select 1 $$',
      'create function total() returns int language sql security definer return 1',
      'create function total() returns int language sql as $$ select 1 $$',
    ],
  },
}
