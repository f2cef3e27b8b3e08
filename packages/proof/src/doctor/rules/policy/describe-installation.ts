/**
 * Everything in the schema `rowhouse`, one row per object: `described (object, fingerprint)`.
 *
 * A fingerprint covers what an object is and who may do what with it. It asks PostgreSQL only, never a function of the
 * database that is judged. Holds for a session whose search path is `pg_catalog, pg_temp`: names come out qualified.
 */
export const DESCRIBED = `
home as (select n.oid, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'rowhouse'),
relation as (
  select c.*, format('rowhouse.%I', c.relname) as name from pg_class c join home on home.oid = c.relnamespace),
description (object, text) as (
  select 'schema rowhouse', jsonb_build_array(h.nspowner::regrole::text, ${sortedAcl("coalesce(h.nspacl, acldefault('n', h.nspowner))")}) from home h
  union all
  select format('routine %s', p.oid::regprocedure),
         jsonb_build_array(case when p.prokind = 'a' then 'aggregate' else pg_get_functiondef(p.oid) end, p.prosrc, p.probin, p.proowner::regrole::text,
                           ${sortedAcl("coalesce(p.proacl, acldefault('f', p.proowner))")})
    from pg_proc p join home on home.oid = p.pronamespace
  union all
  select format('%s %s', case r.relkind when 'v' then 'view' when 'r' then 'table' when 'S' then 'sequence' when 'm' then 'materialized view' else 'relation' end, r.name),
         jsonb_build_array(r.relkind, r.relowner::regrole::text, ${sortedAcl("coalesce(r.relacl, acldefault('r', r.relowner))")},
           r.relpersistence, r.reloptions, r.relrowsecurity, r.relforcerowsecurity, r.relreplident, r.reltablespace,
           case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end,
           (select jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                      a.attcollation::regcollation::text, ${sortedAcl('a.attacl')}, pg_get_expr(d.adbin, d.adrelid)) order by a.attnum)
              from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
             where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped),
           -- Triggers of foreign keys have no names that stay; one that is switched off is an open foreign key.
           (select count(*) from pg_trigger t where t.tgrelid = r.oid and t.tgenabled <> 'O'),
           (select count(*) from pg_constraint k where k.conrelid = r.oid and not k.convalidated))
    from relation r where r.relkind not in ('i', 'I', 't')
  union all
  select format('constraint %I on %s', k.conname, r.name),
         jsonb_build_array(pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable, k.condeferred, to_jsonb(k)->>'conenforced' is distinct from 'false')
    from pg_constraint k join relation r on r.oid = k.conrelid where k.contype not in ('n', 't')
  union all
  select format('index %I on %s', x.relname, r.name), jsonb_build_array(pg_get_indexdef(x.oid), i.indisvalid, i.indisready, i.indislive, i.indisunique, x.relowner::regrole::text)
    from pg_index i join relation r on r.oid = i.indrelid join pg_class x on x.oid = i.indexrelid where r.relkind <> 't'
  union all
  select format('trigger %I on %s', t.tgname, r.name), jsonb_build_array(pg_get_triggerdef(t.oid), t.tgenabled)
    from pg_trigger t join relation r on r.oid = t.tgrelid where not t.tgisinternal
  union all
  select format('rule %I on %s', w.rulename, r.name), jsonb_build_array(pg_get_ruledef(w.oid), w.ev_enabled)
    from pg_rewrite w join relation r on r.oid = w.ev_class where w.rulename <> '_RETURN' or r.relkind not in ('v', 'm')
  union all
  select format('policy %I on %s', p.polname, r.name), jsonb_build_array(pg_get_expr(p.polqual, p.polrelid))
    from pg_policy p join relation r on r.oid = p.polrelid
  union all
  -- Rows of a child are rows of its parent: one below \`accepted_stamp\` would hold seals of somebody's own making.
  select format('table %I.%I, a child of %s', n.nspname, c.relname, r.name), jsonb_build_array(c.relkind)
    from pg_inherits i join relation r on r.oid = i.inhparent join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace
   where c.relkind not in ('i', 'I')
  union all
  select format('default privileges of rowhouse_owner for functions'), jsonb_build_array(${sortedAcl('d.defaclacl')})
    from pg_default_acl d where d.defaclrole = to_regrole('rowhouse_owner') and d.defaclnamespace = 0 and d.defaclobjtype = 'f'
  union all
  -- Types, operators, text search objects and whatever else a schema can hold.
  select format('%s %s', o.type, o.identity), jsonb_build_array(o.type)
    from pg_depend d join home on d.refclassid = 'pg_namespace'::regclass and d.refobjid = home.oid and d.deptype = 'n',
         lateral pg_identify_object(d.classid, d.objid, d.objsubid) o
   where d.classid not in ('pg_class'::regclass, 'pg_proc'::regclass) and not (d.classid = 'pg_default_acl'::regclass)
),
described as (
  select object, encode(sha256(convert_to(string_agg(text::text, E'\\n' order by text::text), 'UTF8')), 'hex') as fingerprint
    from description group by object)`

/** Grants in an order of their own: PostgreSQL keeps them in the order they were given. */
function sortedAcl(acl: string): string {
  return `(select jsonb_agg(x.item order by x.item) from (select g.grantee::regrole::text || '=' || g.privilege_type || g.is_grantable::text || '/' || g.grantor::regrole::text as item from aclexplode(${acl}) g) x)`
}
