import { type Rule, SURVEYED } from '../../rule.ts'
import { protectAgain } from './own-objects.ts'

export const noWall: Rule = {
  id: 'L04',
  name: 'no-wall',
  severity: 'error',
  title: 'No restrictive policy for the tenant',
  why: 'Permissive policies are joined by OR: whichever is added later, for public rows or for support staff, opens the table for all tenants. A restrictive policy is joined by AND and stands whatever is added. It has to hold for every command and every role.',
  remedy: 'Run `rowhouse protect` on the table again.',
  applies: 'installed',
  sql: `with ${SURVEYED}
    select t.name as object,
           format('%s has no restrictive policy for all commands and all roles: one more permissive policy opens it', t.name) as message,
           ${protectAgain('t.oid', 't.name')} as mend
      from tenant_table t join pg_class c on c.oid = t.oid
     where c.relrowsecurity
       and t.oid not in (select p.polrelid from pg_policy p
                          where p.polname <> 'rowhouse_unit' and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}')`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
drop policy rowhouse_wall on t`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
alter policy rowhouse_wall on t to rowhouse_migrator`,
      `create table t (tenant_id uuid not null, unit_id uuid, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t', unit_scope => true);
drop policy rowhouse_wall on t`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); select rowhouse.protect('t')`,
      'create table central (id bigint primary key); alter table central enable row level security',
    ],
  },
}
