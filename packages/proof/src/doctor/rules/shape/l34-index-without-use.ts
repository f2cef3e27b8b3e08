import { type Rule, SURVEYED } from '../../rule.ts'
import { INSTALLED, ownSchema } from '../policy/own-objects.ts'

/** An index is called unused where its table is large enough to want one and was read often enough to have used it. */
const LARGE_ROWS = 10_000
const OFTEN_SCANS = 1_000

export const indexWithoutUse: Rule = {
  id: 'L34',
  name: 'index-without-use',
  severity: 'warning',
  title: 'Index that is there twice, or that nothing uses',
  why: 'Each index is written with each row, for all tenants. One that does what another does already, or that no statement has used, makes every write dearer and every move and restore longer, for nothing.',
  remedy:
    'Drop it. Before dropping one that is unused here, look at the replicas: each server counts its own reads, and counts from the last reset.',
  applies: 'any',
  sql: `with ${SURVEYED},
    held as (
      select i.*, x.relname, x.relam, k.conname, format('%I.%I', n.nspname, x.relname) as name, c.oid as relid, c.reltuples, format('%I.%I', n.nspname, c.relname) as table_name
        from pg_index i
        join pg_class x on x.oid = i.indexrelid
        join pg_class c on c.oid = i.indrelid and c.relkind in ('r', 'p')
        join pg_namespace n on n.oid = c.relnamespace
        left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x') and k.conrelid = i.indrelid
       where ${ownSchema('n')} and (${INSTALLED} or exists (select from tenant_table))
         and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)),
    alike as (
      select h.*, row_number() over same as place, first_value(h.relname) over same as keeper, first_value(h.indisunique) over same as keeper_unique
        from held h
      window same as (
        partition by h.relid, h.relam, h.indnkeyatts, h.indkey::text, h.indclass::text, h.indcollation::text, h.indoption::text, h.indnullsnotdistinct,
                     pg_get_expr(h.indexprs, h.indrelid), pg_get_expr(h.indpred, h.indrelid)
        order by h.conname is not null desc, h.indisunique desc, h.indisreplident desc, h.indexrelid)),
    reads as (select h.relid, sum(pg_stat_get_numscans(h.indexrelid)) + pg_stat_get_numscans(h.relid) as scans from held h where h.reltuples >= ${LARGE_ROWS} group by h.relid)
    select format('index %s', a.name) as object, format('index %s on %s does what %I does', a.name, a.table_name, a.keeper) as message,
           case when a.conname is not null
                then case when not exists (select from pg_constraint f where f.contype = 'f' and f.conindid = a.indexrelid)
                     then format('alter table %s drop constraint %I;', a.table_name, a.conname) end
                else format('drop index %s%s;', case when exists (select from pg_class p where p.oid = a.relid and p.relkind = 'p') then '' else 'concurrently ' end, a.name) end as mend
      from alike a
     where a.place > 1 and (a.keeper_unique or not a.indisunique) and not a.indisreplident
    union all
    select format('index %s', h.name), format('index %s on %s was not used once, while the table was read often', h.name, h.table_name), null
      from held h join reads r on r.relid = h.relid
     where r.scans >= ${OFTEN_SCANS} and pg_stat_get_numscans(h.indexrelid) = 0 and not h.indisunique and h.conname is null
       -- What a foreign key needs is used only when somebody deletes.
       and not exists (select from pg_constraint f where f.contype = 'f' and f.conrelid = h.relid
                          and (h.indkey::smallint[])[0:cardinality(f.conkey) - 1] @> f.conkey)`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, status text, primary key (tenant_id, id));
create index once on t (tenant_id, status);
create index twice on t (tenant_id, status)`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create index on t (tenant_id, id)`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, status text, primary key (tenant_id, id));
create index on t (tenant_id, status);
create index on t (tenant_id, status desc);
create index on t (tenant_id, status) where id > 0;
create index on t (tenant_id, lower(status))`,
    ],
  },
}
