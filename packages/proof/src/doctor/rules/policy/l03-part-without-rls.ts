import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, protectAgain, REACH } from './own-objects.ts'

export const partWithoutRls: Rule = {
  id: 'L03',
  name: 'part-without-rls',
  severity: 'error',
  title: 'Partition or child table, or its parent, without row-level security',
  why: 'PostgreSQL applies only the policies of the table that a statement names. Whoever names a partition directly is not bound by the policies of the partitioned table, and whoever names a parent is not bound by those of its children. A new partition starts without row-level security.',
  remedy: 'Protect the parent again after each new partition: `rowhouse.protect` covers every table below it.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${REACH},
    part as (
      select t.oid, t.name, i.inhparent, c.relispartition
        from tenant_table t join pg_inherits i on i.inhrelid = t.oid join pg_class c on c.oid = t.oid),
    readable (oid) as (
      select c.oid from pg_class c
       where c.oid in (select oid from part union select inhparent from part)
         and (exists (select from app_role a where a.oid = c.relowner)
           or exists (select from aclexplode(c.relacl) acl join reach r on r.oid = acl.grantee)
           or exists (select from pg_attribute a, aclexplode(a.attacl) acl join reach r on r.oid = acl.grantee where a.attrelid = c.oid)))
    select p.name as object,
           format('%s is a %s of %I.%I and has no row-level security%s', p.name, case when p.relispartition then 'partition' else 'child' end,
                  n.nspname, u.relname, case when p.oid in (select oid from readable) then ': the application may name it directly' else '' end) as message,
           case when ${INSTALLED} then ${protectAgain('p.oid', 'p.name')}
                else format('alter table %s enable row level security, force row level security;', p.name) end as mend
      from part p
      join tenant_table x on x.oid = p.inhparent
      join pg_class c on c.oid = p.oid
      join pg_class u on u.oid = p.inhparent
      join pg_namespace n on n.oid = u.relnamespace
     where not c.relrowsecurity and (${INSTALLED} or (u.relrowsecurity and p.oid in (select oid from readable)))
    union
    select format('%I.%I', n.nspname, u.relname),
           format('%I.%I has no row-level security, and reading it reads %s, which has: no policy of a child is applied', n.nspname, u.relname, p.name),
           format('revoke all on %I.%I from public%s;', n.nspname, u.relname, (select string_agg(format(', %I', a.name), '' order by a.name) from app_role a))
      from part p
      join pg_class c on c.oid = p.oid and c.relrowsecurity
      join pg_class u on u.oid = p.inhparent and not u.relrowsecurity
      join pg_namespace n on n.oid = u.relnamespace
     where u.oid not in (select oid from tenant_table) and u.oid in (select oid from readable)`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)) partition by hash (tenant_id);
select rowhouse.protect('t');
create table t_0 partition of t for values with (modulus 2, remainder 0)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
create table t_old (primary key (tenant_id, id)) inherits (t)`,
      `create table base (id bigint, note text);
create table t (tenant_id uuid not null, primary key (tenant_id, id)) inherits (base);
select rowhouse.protect('t');
grant select on base to rowhouse_app`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id)) partition by hash (tenant_id);
create table t_0 partition of t for values with (modulus 2, remainder 0);
select rowhouse.protect('t')`,
      `create table base (id bigint, note text);
create table t (tenant_id uuid not null, primary key (tenant_id, id)) inherits (base);
select rowhouse.protect('t')`,
    ],
    elsewhere: {
      fires: [
        `create table event (org_id bigint, at date) partition by range (at);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
alter table event enable row level security;
grant select on event_2026 to rowhouse_app`,
      ],
      quiet: [
        `create table event (org_id bigint, at date) partition by range (at);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
alter table event enable row level security`,
      ],
    },
  },
}
