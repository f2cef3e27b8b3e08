import { type Rule, SURVEYED } from '../../rule.ts'
import { isHome } from '../policy/canonical-policies.ts'
import { openMove } from './open-moves.ts'
import { FIRST_TENANT, settle } from './placed.ts'

/**
 * Asks one table, run once per table by query_to_xml. With an index that starts with the tenant, each tenant costs one
 * probe, however many rows it has; without one, the table is read.
 */
const FIRST_STRAY = `
  'with recursive found (id) as (
     (select %1$I from only %2$s order by %1$I limit 1)
     union all
     select (select n.%1$I from only %2$s n where n.%1$I > f.id order by n.%1$I limit 1) from found f where f.id is not null)
   select f.id as stray from found f where f.id is not null and not exists (select from rowhouse.resident r where r.tenant_id = f.id%3$s)%4$s limit 1'`

const FIRST_STRAY_WITHOUT_INDEX = `
  'select t.%1$I as stray from only %2$s t where t.%1$I is not null and not exists (select from rowhouse.resident r where r.tenant_id = t.%1$I%3$s)%4$s limit 1'`

export const strayRows: Rule = {
  id: 'L47',
  name: 'stray-rows',
  severity: 'error',
  title: 'Rows of a tenant that does not live here',
  why: 'Rows that stayed behind after a move or an erasure are the data of somebody who believes it is elsewhere, or gone. When the tenant comes back, the old rows are among the new ones. Who may read them all needs no policy for it: backups, exports and people with BYPASSRLS.',
  remedy:
    'Find out whose rows they are. Move them to where the tenant lives, or delete them after a look at legal holds; never with TRUNCATE, which empties the table for all tenants.',
  applies: 'installed',
  sql: `with ${SURVEYED},
    asked as (
      select t.name, t.column_name,
             -- The home of the table is where its tenant has to live; versions before 4 know none.
             case when ($1::jsonb->>'installed')::int < 4 then ''
                  when ${isHome('n.nspname')} then format(' and r.home = %L', n.nspname) else ' and r.home is null' end as beside,
             -- Rows that a move brings or keeps: it is known where the registry is, and elsewhere while it copies. Since version 6.
             case when ($1::jsonb->>'installed')::int < 6 then ''
                  else format(' and not exists (select from rowhouse.move m where m.tenant_id = {id} and m.state not in (''completed'', ''aborted'', ''reverted''))'
                              ' and not exists (select from rowhouse.ddl_freeze z where z.home = %L and z.held_by = ''rowhouse moves'' and z.until > now()'
                              ' and not exists (select from rowhouse.tenant))', case when ${isHome('n.nspname')} then n.nspname else '' end) end as unmoved,
             exists (select from pg_index i where i.indrelid = t.oid and i.indkey[0] = a.attnum and i.indisvalid and i.indpred is null
                                              and i.indclass[0] in (select o.oid from pg_opclass o join pg_am m on m.oid = o.opcmethod where m.amname = 'btree')) as indexed
        from tenant_table t
        join pg_class c on c.oid = t.oid and c.relkind = 'r'
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = t.oid and a.attname = t.column_name and a.atttypid = 'uuid'::regtype),
    answered as (
      select q.name, substring(query_to_xml(format(case when q.indexed then ${FIRST_STRAY} else ${FIRST_STRAY_WITHOUT_INDEX} end, q.column_name, q.name, q.beside,
                                                    replace(q.unmoved, '{id}', case when q.indexed then 'f.id' else format('t.%I', q.column_name) end)), false, true, '')::text
                               from '<stray>([0-9a-f-]{36})</stray>') as stray
        from asked q)
    select a.name as object, format('%s holds rows of tenant %s, which does not live here', a.name, a.stray) as message, null as mend
      from answered a where a.stray is not null`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
insert into t (tenant_id, id) values ('00000000-0000-4000-8000-00000000dead', 1)`,
      `create table t (tenant_id uuid not null, id bigint primary key);
insert into t (tenant_id, id) select r.tenant_id, 1 from rowhouse.resident r limit 1;
insert into t (tenant_id, id) values ('00000000-0000-4000-8000-00000000dead', 2)`,
      // The home of one tenant with rows of another that lives here, too.
      `create schema t_acme_00000000000a;
create table t_acme_00000000000a.t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t_acme_00000000000a.t');
insert into t_acme_00000000000a.t select r.tenant_id, 1 from rowhouse.resident r`,
      // Rows that stayed in the shared table when their tenant got a schema of its own.
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
insert into rowhouse.resident (tenant_id, key_version, ipad, opad, home)
values ('00000000-0000-4000-8000-000000000001', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'), 't_acme_00000000000a');
insert into t (tenant_id, id) values ('00000000-0000-4000-8000-000000000001', 1)`,
      `create table t (tenant_id uuid not null, day date, primary key (tenant_id, day)) partition by range (day);
create table t_2026 partition of t for values from ('2026-01-01') to ('2027-01-01');
insert into t (tenant_id, day) values ('00000000-0000-4000-8000-00000000dead', '2026-05-01')`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t');
insert into t (tenant_id, id) select r.tenant_id, 1 from rowhouse.resident r`,
      `create table t (tenant_id uuid, id bigint primary key); insert into t (id) values (1)`,
      `insert into rowhouse.resident (tenant_id, key_version, ipad, opad, home)
values ('00000000-0000-4000-8000-000000000001', 1, decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'), 't_acme_00000000000a');
create schema t_acme_00000000000a;
create table t_acme_00000000000a.t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
select rowhouse.protect('t_acme_00000000000a.t');
insert into t_acme_00000000000a.t (tenant_id, id) values ('00000000-0000-4000-8000-000000000001', 1)`,
      // Kept until a move is completed.
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
${settle({ placement: "'main', 'schema', null, 't_acme_00000000000a', 2, 1", resident: "2, 'active', 't_acme_00000000000a'" })};
insert into t (tenant_id, id) values ('${FIRST_TENANT}', 1);
${openMove(FIRST_TENANT, 't_acme_00000000000a', 'switched')}`,
      // Copied from another server, to a database without the registry.
      `create table t (tenant_id uuid, id bigint primary key);
insert into t (tenant_id, id) values ('${FIRST_TENANT}', 1);
insert into rowhouse.ddl_freeze (home, reason, held_by, until) values ('', 'tenants are being moved', 'rowhouse moves', now() + interval '1 h')`,
    ],
  },
}
