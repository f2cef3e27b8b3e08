import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'

const TWO_HOMES = `create schema t_acme_00000000000a; create schema t_bolt_00000000000b; create schema t_cord_00000000000c;
do $$ declare home text; begin
  foreach home in array array['t_acme_00000000000a', 't_bolt_00000000000b', 't_cord_00000000000c'] loop
    execute format('create table %I.t (tenant_id uuid not null, id bigint, note text, primary key (tenant_id, id)); select rowhouse.protect(%1$L || ''.t'')', home);
    insert into rowhouse.applied_migration (home, id, sha256) values (home, '0001-init', repeat('0', 64));
  end loop;
end $$;`

export const placementSchema: Rule = {
  id: 'L46',
  name: 'placement-schema',
  severity: 'error',
  title: 'Home whose tables are not those of the others',
  why: 'Homes of tenants that had the same migrations have the same tables. One that was changed by hand, or missed half of a migration, may lack a policy, a column of a key or a grant that all others have: its tenant lives behind another wall than the one that was tested, and cannot be moved, because copies are compared column by column. Each home of this database is compared with most of those with the same ledger.',
  remedy: 'Bring the home up to date with the fleet migration, and look for who changed it by hand.',
  applies: 'installed',
  sinceSchema: 5,
  sql: `with ${SURVEYED},
    ledger as (
      select m.home, string_agg(m.id || m.sha256, ',' order by m.id) as applied from rowhouse.applied_migration m where m.home <> '*' and m.home <> '' group by m.home),
    described as (
      select n.nspname, format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), case when a.attnotnull then ' not null' end,
                               coalesce((select ' for ' || string_agg(x.grantee || ':' || x.privilege_type, ',' order by x.grantee, x.privilege_type) from aclexplode(a.attacl) x), '')) as part
        from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm')
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped where ${isHome('n.nspname')}
      union all
      select n.nspname, format('rights to %s: %s%s %s', c.relname, case when c.relrowsecurity then 'rls ' end, case when c.relforcerowsecurity then 'forced ' end,
                               (select string_agg(x.grantee || ':' || x.privilege_type, ',' order by x.grantee, x.privilege_type) from aclexplode(c.relacl) x))
        from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm') where ${isHome('n.nspname')}
      union all
      select n.nspname, format('%s on %s: %s', k.conname, c.relname, replace(pg_get_constraintdef(k.oid), quote_ident(n.nspname) || '.', ''))
        from pg_namespace n join pg_class c on c.relnamespace = n.oid join pg_constraint k on k.conrelid = c.oid and k.contype not in ('n', 't') where ${isHome('n.nspname')}
      union all
      select n.nspname, format('index on %s: %s', c.relname, replace(pg_get_indexdef(i.indexrelid), quote_ident(n.nspname) || '.', ''))
        from pg_namespace n join pg_class c on c.relnamespace = n.oid join pg_index i on i.indrelid = c.oid and i.indisvalid where c.relkind in ('r', 'p', 'm') and ${isHome('n.nspname')}
      union all
      select n.nspname, format('policy %s on %s', p.polname, c.relname)
        from pg_namespace n join pg_class c on c.relnamespace = n.oid join pg_policy p on p.polrelid = c.oid where ${isHome('n.nspname')}
      union all
      select n.nspname, format('trigger %s on %s: %s', g.tgname, c.relname, g.tgenabled)
        from pg_namespace n join pg_class c on c.relnamespace = n.oid join pg_trigger g on g.tgrelid = c.oid and not g.tgisinternal where ${isHome('n.nspname')}),
    home as (
      select l.home, l.applied, d.shape, count(*) over (partition by l.applied, d.shape) as alike, count(*) over (partition by l.applied) as all_of_them
        from ledger l cross join lateral (select md5(coalesce(string_agg(x.part, E'\\n' order by x.part collate "C"), '')) as shape from described x where x.nspname = l.home) d),
    usual as (select distinct on (h.applied) h.applied, h.shape, h.home from home h order by h.applied, h.alike desc, h.shape),
    odd as (select h.home, u.home as like_home from home h join usual u on u.applied = h.applied and u.shape <> h.shape)
    select format('schema %I', o.home) as object,
           format('%I has the same migrations as others and not the same tables: %s', o.home,
                  (select string_agg(x.said, '; ' order by x.said) from (
                     (select 'lacks ' || u.part as said from described u where u.nspname = o.like_home
                       except select 'lacks ' || m.part from described m where m.nspname = o.home)
                     union all
                     (select 'has ' || m.part from described m where m.nspname = o.home
                       except select 'has ' || u.part from described u where u.nspname = o.like_home) order by 1 limit 3) x)) as message,
           null as mend
      from odd o`,
  fixtures: {
    fires: [
      `${TWO_HOMES}
alter table t_bolt_00000000000b.t drop column note`,
      `${TWO_HOMES}
grant truncate on t_cord_00000000000c.t to rowhouse_app`,
      `${TWO_HOMES}
drop policy rowhouse_wall on t_acme_00000000000a.t`,
    ],
    quiet: [
      TWO_HOMES,
      // Still to be migrated.
      `${TWO_HOMES}
alter table t_acme_00000000000a.t add column more text;
insert into rowhouse.applied_migration (home, id, sha256) values ('t_acme_00000000000a', '0002-more', repeat('0', 64))`,
    ],
  },
}
