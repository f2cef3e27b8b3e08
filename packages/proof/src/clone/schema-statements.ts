/**
 * Writes down a database's schema as the SQL that makes it again.
 *
 * No `pg_dump`, because the one at hand is seldom of the server's version, and because the order matters here: rows
 * go in between the tables and what guards them. Everything is read with `search_path = pg_catalog`, so that every
 * name comes out with its schema.
 */

import type { Client } from 'pg'
import { LEFT_OUT_SQL } from './left-out.ts'

/** When a statement has its turn: rows are made after `structure`, tenants after `rights`. */
export type Stage = 'structure' | 'guards' | 'rights'

export interface SchemaStatement {
  readonly stage: Stage
  /** What it makes, e.g. `table public.shipment`: the same text in every database that has it. */
  readonly object: string
  readonly sql: string
  /** Why there is no statement for it. */
  readonly leftOut?: string
}

/** Reads the schema of the connected database. Objects of extensions come with their extension. */
export async function readSchemaStatements(client: Client): Promise<SchemaStatement[]> {
  const statements: SchemaStatement[] = []
  for (const [stage, sql] of SOURCES) {
    const { rows } = await client.query<{ object: string; sql: string }>(`with ${OURS} ${sql}`)
    for (const row of rows) if (row.sql !== null) statements.push({ stage, object: row.object, sql: row.sql })
  }
  const { rows } = await client.query<{ object: string; reason: string }>(`${LEFT_OUT_SQL} order by 1`)
  for (const { object, reason } of rows) statements.push({ stage: 'structure', object, sql: '', leftOut: reason })
  return statements
}

/** Schemas of the application and of Rowhouse, and what is not an extension's own. */
const OURS = `
ours as (
  select n.oid, n.nspname from pg_namespace n
   where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
     and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass and d.objid = n.oid and d.deptype = 'e')),
extension_member as (select d.classid, d.objid from pg_depend d where d.deptype = 'e'),
rel as (
  select c.*, o.nspname, format('%I.%I', o.nspname, c.relname) as name
    from pg_class c join ours o on o.oid = c.relnamespace
   where c.relpersistence <> 't'
     and not exists (select from extension_member e where e.classid = 'pg_class'::regclass and e.objid = c.oid)),
fn as (
  select p.*, format('%I.%I(%s)', o.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name
    from pg_proc p join ours o on o.oid = p.pronamespace
   -- Constructors of a range type come with it.
   where not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i')))`

/** Defaults, identity and NOT NULL with the column; CHECK constraints nowhere, except those of Rowhouse: isolation must not depend on them. */
const COLUMNS = `(
  select string_agg(format('%I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
           case when a.attcollation <> t.typcollation and a.attcollation <> 0
                then (select format(' collate %I.%I', cn.nspname, co.collname) from pg_collation co join pg_namespace cn on cn.oid = co.collnamespace where co.oid = a.attcollation) else '' end,
           case when a.attidentity <> '' then format(' generated %s as identity (sequence name %s)', case a.attidentity when 'a' then 'always' else 'by default' end,
                       (select format('%I.%I', sn.nspname, sc.relname) from pg_depend sd join pg_class sc on sc.oid = sd.objid and sc.relkind = 'S' join pg_namespace sn on sn.oid = sc.relnamespace
                         where sd.classid = 'pg_class'::regclass and sd.refobjid = a.attrelid and sd.refobjsubid = a.attnum and sd.deptype = 'i'))
                when a.attgenerated <> '' then format(' generated always as (%s) %s', pg_get_expr(d.adbin, d.adrelid), case a.attgenerated when 's' then 'stored' else 'virtual' end)
                when d.adbin is not null then format(' default %s', pg_get_expr(d.adbin, d.adrelid)) else '' end,
           case when a.attnotnull then ' not null' else '' end), ', ' order by a.attnum)
    from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped and a.attislocal)`

const OPTIONS = `coalesce((select ' with (' || string_agg(format('%I = %L', x.option_name, x.option_value), ', ' order by x.option_name) || ')' from pg_options_to_table(r.reloptions) x), '')`

/** GRANT statements for an access list that is not the built-in one. `on` is what follows ON. */
function rights(object: string, acl: string, owner: string, on: string, from: string): string {
  return `select ${object} as object,
    format('revoke all on %1$s from public, %2$I; ', ${on}, pg_get_userbyid(${owner})) || coalesce((
      select string_agg(format('grant %s on %s to %s%s; ', x.privilege_type, ${on}, case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end,
                               case when x.is_grantable then ' with grant option' else '' end), '' order by x.grantee, x.privilege_type)
        from aclexplode(${acl}) x), '') as sql
    from ${from}`
}

const RELATION_WORD = `case r.relkind when 'S' then 'sequence' else 'table' end`
const OWNED_WORD = `case r.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end`

/** One question per kind of object, in an order in which most succeed at the first attempt. */
const SOURCES: readonly (readonly [Stage, string])[] = [
  [
    'structure',
    `select format('schema %I', nspname) as object, format('create schema if not exists %I', nspname) as sql from ours order by 1`,
  ],
  [
    'structure',
    `select format('extension %I', e.extname) as object, format('create extension if not exists %I schema %I version %L', e.extname, n.nspname, e.extversion) as sql
                   from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname <> 'plpgsql' order by 1`,
  ],
  [
    'structure',
    `select format('collation %I.%I', o.nspname, c.collname) as object,
                   format('create collation %I.%I (provider = %s, deterministic = %s, locale = %L)', o.nspname, c.collname, case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end, c.collisdeterministic::text,
                     coalesce(to_jsonb(c)->>'colllocale', to_jsonb(c)->>'colliculocale', c.collcollate)) as sql
                   from pg_collation c join ours o on o.oid = c.collnamespace
                  where not exists (select from extension_member e where e.classid = 'pg_collation'::regclass and e.objid = c.oid) order by 1`,
  ],
  // Domains without their checks, for the same reason as tables.
  [
    'structure',
    `select format('type %I.%I', o.nspname, t.typname) as object,
                   case t.typtype
                     when 'e' then format('create type %I.%I as enum (%s)', o.nspname, t.typname, (select string_agg(quote_literal(l.enumlabel), ', ' order by l.enumsortorder) from pg_enum l where l.enumtypid = t.oid))
                     when 'd' then format('create domain %I.%I as %s%s', o.nspname, t.typname, format_type(t.typbasetype, t.typtypmod), case when t.typdefault is not null then ' default ' || t.typdefault else '' end)
                     when 'r' then (select format('create type %I.%I as range (subtype = %s, multirange_type_name = %s%s)', o.nspname, t.typname, format_type(g.rngsubtype, null), format_type(g.rngmultitypid, null), case when g.rngsubdiff <> 0 then format(', subtype_diff = %s', g.rngsubdiff) else '' end) from pg_range g where g.rngtypid = t.oid)
                     when 'c' then format('create type %I.%I as (%s)', o.nspname, t.typname, (select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum) from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped))
                   end as sql
                   from pg_type t join ours o on o.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
                  where (t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c'))
                    and not exists (select from extension_member e where e.classid = 'pg_type'::regclass and e.objid = t.oid)
                  order by t.oid`,
  ],
  [
    'structure',
    `select 'sequence ' || r.name as object, format('create sequence %s as %s increment %s minvalue %s maxvalue %s start %s cache %s%s', r.name, format_type(s.seqtypid, null),
                     s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, case when s.seqcycle then ' cycle' else '' end) as sql
                   from rel r join pg_sequence s on s.seqrelid = r.oid
                  where not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype = 'i') order by r.oid`,
  ],
  [
    'structure',
    `select 'function ' || f.name as object, pg_get_functiondef(f.oid) as sql from fn f where f.prokind in ('f', 'p', 'w') order by f.oid`,
  ],
  [
    'structure',
    `select format('aggregate %I.%I(%s)', o.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as object,
                   format('create aggregate %I.%I(%s) (sfunc = %s, stype = %s%s%s%s%s)', o.nspname, p.proname,
                     case when p.pronargs = 0 then '*' else pg_get_function_identity_arguments(p.oid) end, g.aggtransfn, format_type(g.aggtranstype, null),
                     case when g.aggfinalfn <> 0 then format(', finalfunc = %s', g.aggfinalfn) else '' end, case when g.aggfinalextra then ', finalfunc_extra' else '' end,
                     case when g.aggcombinefn <> 0 then format(', combinefunc = %s', g.aggcombinefn) else '' end,
                     case when g.agginitval is not null then format(', initcond = %L', g.agginitval) else '' end) as sql
                   from pg_proc p join ours o on o.oid = p.pronamespace join pg_aggregate g on g.aggfnoid = p.oid and g.aggkind = 'n'
                  where not exists (select from extension_member e where e.classid = 'pg_proc'::regclass and e.objid = p.oid) order by p.oid`,
  ],
  [
    'structure',
    `select format('operator %s', q.oid::regoperator) as object,
                   format('create operator %I.%s (%srightarg = %s, function = %s%s%s)', o.nspname, q.oprname,
                     case when q.oprleft <> 0 then format('leftarg = %s, ', format_type(q.oprleft, null)) else '' end, format_type(q.oprright, null), q.oprcode,
                     case when q.oprrest <> 0 then format(', restrict = %s', q.oprrest) else '' end, case when q.oprjoin <> 0 then format(', join = %s', q.oprjoin) else '' end) as sql
                   from pg_operator q join ours o on o.oid = q.oprnamespace where q.oprcode <> 0
                    and not exists (select from extension_member e where e.classid = 'pg_operator'::regclass and e.objid = q.oid) order by q.oid`,
  ],
  [
    'structure',
    `select 'table ' || r.name as object,
                   case when r.relispartition then format('create table %s partition of %s %s%s', r.name, h.inhparent::regclass, pg_get_expr(r.relpartbound, r.oid),
                               case r.relkind when 'p' then ' partition by ' || pg_get_partkeydef(r.oid) else '' end)
                        else format('create %stable %s (%s)%s%s', case r.relpersistence when 'u' then 'unlogged ' else '' end, r.name, ${COLUMNS},
                               coalesce((select ' inherits (' || string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno) || ')' from pg_inherits i where i.inhrelid = r.oid), ''),
                               case r.relkind when 'p' then ' partition by ' || pg_get_partkeydef(r.oid) else ${OPTIONS} end)
                   end as sql
                   from rel r left join pg_inherits h on r.relispartition and h.inhrelid = r.oid
                  where r.relkind in ('r', 'p') order by r.oid`,
  ],
  [
    'structure',
    `select 'owner column of sequence ' || r.name as object, format('alter sequence %s owned by %s.%I', r.name, d.refobjid::regclass, a.attname) as sql
                   from rel r join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype = 'a' and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
                   join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid where r.relkind = 'S' order by r.oid`,
  ],
  [
    'structure',
    `select 'view ' || r.name as object, format('create view %s%s as %s', r.name, ${OPTIONS}, rtrim(pg_get_viewdef(r.oid), ';')) as sql from rel r where r.relkind = 'v' order by r.oid`,
  ],
  // Keys before the foreign keys that need them; those of partitions come with their parent.
  [
    'guards',
    `select format('constraint %I on %s', k.conname, r.name) as object, format('alter table %s add constraint %I %s', r.name, k.conname, pg_get_constraintdef(k.oid)) as sql
                from rel r join pg_constraint k on k.conrelid = r.oid and k.conparentid = 0 and k.conislocal
                 and (k.contype in ('p', 'u', 'x', 'f') or (k.contype = 'c' and r.nspname = 'rowhouse'))
               order by array_position(array['p', 'u', 'x', 'c', 'f'], k.contype::text), k.oid`,
  ],
  [
    'guards',
    `select format('index %s', x.oid::regclass) as object, pg_get_indexdef(x.oid) as sql
                from rel r join pg_index i on i.indrelid = r.oid join pg_class x on x.oid = i.indexrelid
               where r.relkind in ('r', 'p', 'm') and not exists (select from pg_constraint k where k.conindid = x.oid and k.contype in ('p', 'u', 'x'))
                 and not exists (select from pg_inherits h where h.inhrelid = x.oid) order by x.oid`,
  ],
  [
    'guards',
    `select 'materialized view ' || r.name as object, format('create materialized view %s%s as %s', r.name, ${OPTIONS}, rtrim(pg_get_viewdef(r.oid), ';')) as sql from rel r where r.relkind = 'm' order by r.oid`,
  ],
  [
    'guards',
    `select format('statistics %I.%I', o.nspname, x.stxname) as object, pg_get_statisticsobjdef(x.oid) as sql from pg_statistic_ext x join ours o on o.oid = x.stxnamespace order by x.oid`,
  ],
  [
    'guards',
    `select format('trigger %I on %s', t.tgname, r.name) as object,
                pg_get_triggerdef(t.oid) || case t.tgenabled when 'D' then format('; alter table %s disable trigger %I', r.name, t.tgname) when 'A' then format('; alter table %s enable always trigger %I', r.name, t.tgname) when 'R' then format('; alter table %s enable replica trigger %I', r.name, t.tgname) else '' end as sql
                from rel r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal and t.tgparentid = 0 order by t.oid`,
  ],
  [
    'guards',
    `select format('rule %I on %s', w.rulename, r.name) as object, rtrim(pg_get_ruledef(w.oid), ';') || case w.ev_enabled when 'D' then format('; alter table %s disable rule %I', r.name, w.rulename) when 'A' then format('; alter table %s enable always rule %I', r.name, w.rulename) when 'R' then format('; alter table %s enable replica rule %I', r.name, w.rulename) else '' end as sql
                from rel r join pg_rewrite w on w.ev_class = r.oid and w.rulename <> '_RETURN' order by w.oid`,
  ],
  [
    'guards',
    `select 'row-level security of ' || r.name as object,
                format('alter table %s %s row level security, %s row level security', r.name, case when r.relrowsecurity then 'enable' else 'disable' end, case when r.relforcerowsecurity then 'force' else 'no force' end) as sql
                from rel r where r.relkind in ('r', 'p') and (r.relrowsecurity or r.relforcerowsecurity) order by r.oid`,
  ],
  [
    'guards',
    `select format('policy %I on %s', p.polname, r.name) as object,
                format('create policy %I on %s as %s for %s to %s%s%s', p.polname, r.name, case when p.polpermissive then 'permissive' else 'restrictive' end,
                  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
                  (select string_agg(case g when 0 then 'public' else quote_ident(pg_get_userbyid(g)) end, ', ') from unnest(p.polroles) g),
                  coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''), coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')) as sql
                from rel r join pg_policy p on p.polrelid = r.oid order by r.oid, p.polname`,
  ],
  [
    'rights',
    `select 'owner of ' || r.name as object, format('alter %s %s owner to %I', ${OWNED_WORD}, r.name, pg_get_userbyid(r.relowner)) as sql
                from rel r where r.relkind in ('r', 'p', 'v', 'm') or (r.relkind = 'S' and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype in ('a', 'i'))) order by r.oid`,
  ],
  [
    'rights',
    `select 'owner of function ' || f.name as object, format('alter %s %s owner to %I', case f.prokind when 'p' then 'procedure' else 'function' end, f.name, pg_get_userbyid(f.proowner)) as sql from fn f where f.prokind in ('f', 'p', 'w') order by f.oid`,
  ],
  [
    'rights',
    `select format('owner of type %I.%I', o.nspname, t.typname) as object, format('alter type %I.%I owner to %I', o.nspname, t.typname, pg_get_userbyid(t.typowner)) as sql
                from pg_type t join ours o on o.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
               where (t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c'))
                 and not exists (select from extension_member e where e.classid = 'pg_type'::regclass and e.objid = t.oid) order by t.oid`,
  ],
  [
    'rights',
    rights(
      `format('rights on type %I.%I', o.nspname, t.typname)`,
      't.typacl',
      't.typowner',
      `format('type %I.%I', o.nspname, t.typname)`,
      `pg_type t join ours o on o.oid = t.typnamespace where t.typacl is not null and t.typtype in ('e', 'd', 'r', 'c')
         and not exists (select from extension_member e where e.classid = 'pg_type'::regclass and e.objid = t.oid) order by t.oid`,
    ),
  ],
  [
    'rights',
    `select format('owner of schema %I', o.nspname) as object, format('alter schema %I owner to %I', o.nspname, pg_get_userbyid(n.nspowner)) as sql from ours o join pg_namespace n on n.oid = o.oid order by 1`,
  ],
  [
    'rights',
    rights(
      `'rights on ' || r.name`,
      'r.relacl',
      'r.relowner',
      `${RELATION_WORD} || ' ' || r.name`,
      `rel r where r.relacl is not null and r.relkind in ('r', 'p', 'v', 'm', 'S') order by r.oid`,
    ),
  ],
  [
    'rights',
    `select format('rights on column %s.%I', r.name, a.attname) as object,
                (select string_agg(format('grant %s (%I) on table %s to %s%s; ', x.privilege_type, a.attname, r.name, case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end, case when x.is_grantable then ' with grant option' else '' end), '' order by x.grantee, x.privilege_type) from aclexplode(a.attacl) x) as sql
                from rel r join pg_attribute a on a.attrelid = r.oid and a.attacl is not null and not a.attisdropped order by r.oid, a.attnum`,
  ],
  [
    'rights',
    rights(
      `'rights on function ' || f.name`,
      'f.proacl',
      'f.proowner',
      `case f.prokind when 'p' then 'procedure ' else 'function ' end || f.name`,
      `fn f where f.proacl is not null and f.prokind in ('f', 'p', 'w') order by f.oid`,
    ),
  ],
  [
    'rights',
    rights(
      `format('rights on schema %I', o.nspname)`,
      'n.nspacl',
      'n.nspowner',
      `format('schema %I', o.nspname)`,
      'ours o join pg_namespace n on n.oid = o.oid where n.nspacl is not null order by 1',
    ),
  ],
  // What an operator took from PUBLIC in PostgreSQL itself, e.g. pg_terminate_backend.
  [
    'rights',
    rights(
      `format('rights on function %s', p.oid::regprocedure)`,
      'p.proacl',
      'p.proowner',
      `format('function %s', p.oid::regprocedure)`,
      `pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is not null
         and p.proacl is distinct from (select i.initprivs from pg_init_privs i where i.classoid = 'pg_proc'::regclass and i.objoid = p.oid and i.objsubid = 0) order by p.oid`,
    ),
  ],
  [
    'rights',
    rights(
      `format('rights on %s', r.oid::regclass)`,
      'r.relacl',
      'r.relowner',
      `format('table %s', r.oid::regclass)`,
      `pg_class r where r.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) and r.relacl is not null
         and r.relacl is distinct from (select i.initprivs from pg_init_privs i where i.classoid = 'pg_class'::regclass and i.objoid = r.oid and i.objsubid = 0) order by r.oid`,
    ),
  ],
  [
    'rights',
    `select format('default rights of %s%s on %s', pg_get_userbyid(d.defaclrole), coalesce(' in ' || n.nspname, ''), d.defaclobjtype) as object,
                format('alter default privileges for role %1$I%2$s revoke all on %3$s from public, %1$I; ', pg_get_userbyid(d.defaclrole), coalesce(' in schema ' || quote_ident(n.nspname), ''), k.word)
                || coalesce((select string_agg(format('alter default privileges for role %I%s grant %s on %s to %s%s; ', pg_get_userbyid(d.defaclrole), coalesce(' in schema ' || quote_ident(n.nspname), ''), x.privilege_type, k.word,
                      case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end, case when x.is_grantable then ' with grant option' else '' end), '' order by x.grantee, x.privilege_type) from aclexplode(d.defaclacl) x), '') as sql
                from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace,
                     lateral (select case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' when 'L' then 'large objects' else 'schemas' end as word) k order by 1`,
  ],
  [
    'rights',
    `select 'rights on the database' as object,
                format('revoke all on database %1$I from public; ', '{database}') || coalesce((select string_agg(format('grant %s on database %I to %s; ', x.privilege_type, '{database}', case x.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end), '' order by x.grantee, x.privilege_type)
                   from aclexplode(d.datacl) x where x.grantee <> d.datdba), '') as sql
                from pg_database d where d.datname = current_database() and d.datacl is not null`,
  ],
  [
    'rights',
    `select format('setting %s of %s', split_part(c, '=', 1), case s.setrole when 0 then 'everybody' else pg_get_userbyid(s.setrole) end) as object,
                format('alter %s set %I to %s', case s.setrole when 0 then format('database %I', '{database}') else format('role %I in database %I', pg_get_userbyid(s.setrole), '{database}') end, split_part(c, '=', 1),
                  case split_part(c, '=', 1) when 'search_path' then substr(c, strpos(c, '=') + 1) else quote_literal(substr(c, strpos(c, '=') + 1)) end) as sql
                from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase and d.datname = current_database(), unnest(s.setconfig) c order by 1`,
  ],
]

/** Stands for the database's own name, which is another one in a clone. */
export const DATABASE_PLACEHOLDER = '{database}'
