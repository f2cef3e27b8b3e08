import { type Rule, SURVEYED } from '../../rule.ts'
import { SLOT } from '../server/server-facts.ts'

export const replication: Rule = {
  id: 'L31',
  name: 'replication',
  severity: 'error',
  title: 'Replication of tenant tables that nothing here asked for',
  why: 'Replication reads and writes past policies. A publication of a tenant table sends the rows of all tenants to whoever subscribes; one with TRUNCATE empties the other side for all of them, whatever its row filter says. A filter by a column outside the replica identity makes the updates of the application fail. A slot that nobody reads keeps the log until the disk is full.',
  remedy:
    'Drop what is left over. Where it is wanted, e.g. for a warehouse, leave TRUNCATE out, and accept the finding with its reason in the baseline.',
  applies: 'any',
  sql: `with ${SURVEYED}, ${SLOT},
    published as (
      select p.oid, t.oid as relid, t.name, t.column_name, r.prqual is not null as filtered
        from pg_publication p join pg_publication_rel r on r.prpubid = p.oid join tenant_table t on t.oid = r.prrelid
      union all
      select p.oid, t.oid, t.name, t.column_name, false from pg_publication p cross join tenant_table t where p.puballtables
      union all
      select p.oid, t.oid, t.name, t.column_name, false
        from pg_publication p join pg_publication_namespace s on s.pnpubid = p.oid
        join pg_class c on c.relnamespace = s.pnnspid join tenant_table t on t.oid = c.oid),
    per_publication as (
      select oid, count(*) as tables, bool_and(filtered) as filtered, min(name) as first from published group by oid)
    select format('publication %I', p.pubname) as object,
           format('publication %I sends rows of %s%s to its subscribers%s', p.pubname, u.first,
                  case u.tables when 1 then '' else format(' and %s more tenant tables', u.tables - 1) end, case when u.filtered then '' else ', of all tenants' end) as message,
           format('drop publication %I;', p.pubname) as mend
      from pg_publication p join per_publication u on u.oid = p.oid
    union all
    select format('publication %I', p.pubname),
           format('publication %I passes TRUNCATE on, which ignores row filters: it empties %s for all tenants', p.pubname, u.first),
           format('alter publication %I set (publish = ''insert, update, delete'');', p.pubname)
      from pg_publication p join per_publication u on u.oid = p.oid
     where p.pubtruncate
    union all
    select format('publication %I', p.pubname),
           format('publication %I filters %s by columns outside its replica identity: updates and deletes of the application fail', p.pubname, u.name),
           null
      from published u join pg_publication p on p.oid = u.oid and (p.pubupdate or p.pubdelete)
      join pg_class c on c.oid = u.relid and c.relreplident <> 'f'
      join pg_attribute a on a.attrelid = u.relid and a.attname = u.column_name
     where u.filtered
       and not exists (select from pg_index i where i.indrelid = u.relid and a.attnum = any (i.indkey)
                          and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end)
    union all
    select format('subscription %I', s.subname), format('subscription %I writes into this database past policies', s.subname),
           format('drop subscription %I;', s.subname)
      from pg_subscription s where s.subdbid = (select oid from pg_database where datname = current_database())
    union all
    select format('replication slot %s', s.name), format('replication slot %s reads the changes of all tenants and keeps the log until it is read', s.name),
           format('select pg_drop_replication_slot(%L);', s.name)
      from slot s where s.type = 'logical' and s.database = current_database()`,
  fixtures: {
    fires: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create publication everything for table t`,
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create publication everything for all tables with (publish = 'insert, update, delete')`,
      `create table t (tenant_id uuid not null, id bigint, primary key (id));
create publication one for table t where (tenant_id = '00000000-0000-4000-8000-000000000001') with (publish = 'insert, update, delete')`,
      `create subscription from_elsewhere connection 'dbname=elsewhere' publication p with (connect = false)`,
    ],
    quiet: [
      `create table t (tenant_id uuid not null, id bigint, primary key (tenant_id, id));
create table port (code text primary key);
create publication ports for table port`,
    ],
  },
}
