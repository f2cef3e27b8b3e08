/** What the attacks need to know of a schema: which tables, columns, keys and other ways in there are. */

import type { Client } from 'pg'
import type { Survey } from '../doctor/survey.ts'

export interface ColumnFacts {
  readonly name: string
  /** As in SQL, e.g. `numeric(14,2)`. */
  readonly type: string
  /** The type below domains and arrays, e.g. `numeric`; of an array, of its elements. */
  readonly base: string
  /** `e` enum, `r` range, `m` multirange, `c` composite, `b` base, as in pg_type.typtype. */
  readonly kind: string
  readonly array: boolean
  readonly labels: readonly string[]
  /** Subtype of a range or multirange, else the base type. */
  readonly subtype: string
  /** Characters of `varchar(n)` and `char(n)`, dimensions of a vector; 0 for no limit. */
  readonly length: number
  /** Types of the fields of a composite type; empty for others. */
  readonly fields: readonly string[]
  readonly nullable: boolean
  readonly generated: boolean
  readonly identityAlways: boolean
}

export interface KeyFacts {
  readonly name: string
  readonly columns: readonly string[]
}

/** What a unique or exclusion index holds apart, as SQL over the table. */
export interface UniquenessFacts {
  readonly expressions: readonly string[]
  readonly predicate: string | undefined
  readonly nullsEqual: boolean
}

export interface ForeignKeyFacts extends KeyFacts {
  readonly references: string
  readonly referenced: readonly string[]
}

/** A partition that rows fit into, of a table partitioned by range or list of columns. */
export interface PartitionBound {
  readonly columns: readonly string[]
  /** As PostgreSQL writes it, e.g. `FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`. */
  readonly text: string
}

export interface TableFacts {
  /** Schema and name, quoted where SQL wants it: `public.shipment`. */
  readonly name: string
  /** Column that names the tenant; undefined for tables that belong to no tenant. */
  readonly tenantColumn: string | undefined
  readonly columns: readonly ColumnFacts[]
  /** Primary, unique and exclusion keys without expressions. */
  readonly keys: readonly KeyFacts[]
  /** Of every index that refuses rows, also over expressions and parts of the table. */
  readonly uniqueness: readonly UniquenessFacts[]
  readonly foreignKeys: readonly ForeignKeyFacts[]
  /** Partition or child: reachable through its parent too. */
  readonly parent: string | undefined
  readonly partition: boolean
  /** Rows are limited to the units of the context, by the column `unit_id`. */
  readonly unitScoped: boolean
  /** Whether Rowhouse protects it. */
  readonly walled: boolean
  /** Whether the application has the right to read its tenant's column. */
  readonly readable: boolean
  readonly partitioned: boolean
  /** What a row of a partitioned table must say to have a place; undefined where any will do. */
  readonly bound: PartitionBound | undefined
  /** What a row must say to be in this partition. */
  readonly ownBound: PartitionBound | undefined
}

export interface RelationFacts {
  readonly name: string
  readonly columns: readonly string[]
  /** Tenant's column among them, if any. */
  readonly tenantColumn: string | undefined
}

export interface FunctionFacts {
  readonly name: string
  readonly definer: boolean
  readonly executable: boolean
  readonly arguments: readonly string[]
  readonly set: boolean
}

export interface SchemaFacts {
  readonly tables: readonly TableFacts[]
  readonly views: readonly RelationFacts[]
  readonly materializedViews: readonly RelationFacts[]
  readonly foreignTables: readonly string[]
  readonly sequences: readonly string[]
  /** Outside the schemas of Rowhouse and PostgreSQL. */
  readonly functions: readonly FunctionFacts[]
}

/** Reads the facts. @param appRole  whose rights to tables and functions count */
export async function readSchemaFacts(client: Client, survey: Survey, appRole: string): Promise<SchemaFacts> {
  const { rows } = await client.query<{ facts: SchemaFacts }>(FACTS_SQL, [
    JSON.stringify(Object.fromEntries(survey.tenantTables.map(({ oid, column }) => [oid, column]))),
    appRole,
  ])
  const facts = rows[0]?.facts
  if (facts === undefined) throw new Error('Cannot read the schema: PostgreSQL returned no row')
  return JSON.parse(JSON.stringify(facts), (_, value) => (value === null ? undefined : value)) as SchemaFacts
}

const FACTS_SQL = `
with ours as (select n.oid, n.nspname from pg_namespace n where n.nspname not in ('information_schema', 'rowhouse') and n.nspname !~ '^pg_'),
rel as (
  select c.*, format('%I.%I', o.nspname, c.relname) as name, $1::jsonb ->> c.oid::text as tenant_column
    from pg_class c join ours o on o.oid = c.relnamespace
   where c.relpersistence <> 't' and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')),
base as (
  select a.attrelid, a.attnum, a.attname, a.atttypmod, u.typmod, a.attnotnull, a.attgenerated, a.attidentity, a.atttypid,
         case when e.oid is not null then e.oid else u.oid end as elem, e.oid is not null as is_array
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    join lateral (
      with recursive down as (select t.oid, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod as typmod
        union all select b.oid, b.typtype, b.typbasetype, b.typtypmod, case when d.typmod >= 0 then d.typmod else d.typtypmod end
          from down d join pg_type b on b.oid = d.typbasetype where d.typtype = 'd')
      select * from down where typtype <> 'd') u on true
    left join pg_type ua on ua.oid = u.oid
    left join pg_type e on e.oid = ua.typelem and ua.typcategory = 'A'
   where a.attnum > 0 and not a.attisdropped)
select json_build_object(
  'tables', coalesce((select json_agg(json_build_object(
      'name', r.name, 'tenantColumn', r.tenant_column,
      'readable', r.tenant_column is not null and has_schema_privilege($2, r.relnamespace, 'usage') and has_column_privilege($2, r.oid, r.tenant_column, 'select'),
      'walled', exists (select from pg_policy w where w.polrelid = r.oid and w.polname = 'rowhouse_wall'),
      'unitScoped', exists (select from pg_policy w where w.polrelid = r.oid and w.polname = 'rowhouse_unit'), 'partition', r.relispartition, 'partitioned', r.relkind = 'p',
      'parent', (select format('%I.%I', pn.nspname, p.relname) from pg_inherits h join pg_class p on p.oid = h.inhparent join pg_namespace pn on pn.oid = p.relnamespace where h.inhrelid = r.oid order by h.inhseqno limit 1),
      'ownBound', (select json_build_object('text', pg_get_expr(r.relpartbound, r.oid),
                       'columns', (select json_agg(a.attname order by k.place) from unnest(pt.partattrs::int2[]) with ordinality k (number, place) join pg_attribute a on a.attrelid = h.inhparent and a.attnum = k.number))
                  from pg_inherits h join pg_partitioned_table pt on pt.partrelid = h.inhparent where r.relispartition and h.inhrelid = r.oid and pt.partstrat in ('r', 'l')),
      'bound', (select json_build_object('text', pg_get_expr(p.relpartbound, p.oid),
                       'columns', (select json_agg(a.attname order by k.place) from unnest(pt.partattrs::int2[]) with ordinality k (number, place) join pg_attribute a on a.attrelid = r.oid and a.attnum = k.number))
                  from pg_partitioned_table pt join pg_inherits h on h.inhparent = r.oid join pg_class p on p.oid = h.inhrelid
                 where pt.partrelid = r.oid and pt.partstrat in ('r', 'l') and pt.partdefid = 0 and p.relkind <> 'f'
                 order by pg_get_expr(p.relpartbound, p.oid) ~ 'FROM \\(MINVALUE|IN \\(NULL', p.oid limit 1),
      'columns', coalesce((select json_agg(json_build_object(
          'name', b.attname, 'type', format_type(b.atttypid, b.atttypmod), 'base', format_type(b.elem, null), 'kind', t.typtype, 'array', b.is_array,
          'labels', coalesce((select json_agg(l.enumlabel order by l.enumsortorder) from pg_enum l where l.enumtypid = b.elem), '[]'),
          'subtype', coalesce((select format_type(g.rngsubtype, null) from pg_range g where b.elem in (g.rngtypid, g.rngmultitypid)), format_type(b.elem, null)),
          'length', case when b.typmod < 0 then 0 when t.typname in ('varchar', 'bpchar') then b.typmod - 4 when t.typname in ('bit', 'varbit', 'vector', 'halfvec') then b.typmod else 0 end,
          'fields', coalesce((select json_agg(format_type(f.atttypid, null) order by f.attnum) from pg_attribute f where f.attrelid = t.typrelid and t.typtype = 'c' and f.attnum > 0 and not f.attisdropped), '[]'),
          'nullable', not b.attnotnull, 'generated', b.attgenerated <> '', 'identityAlways', b.attidentity = 'a') order by b.attnum)
          from base b join pg_type t on t.oid = b.elem where b.attrelid = r.oid), '[]'),
      'keys', coalesce((select json_agg(json_build_object('name', x.relname,
            'columns', (select json_agg(a.attname order by k.place) from unnest(i.indkey::int2[]) with ordinality k (number, place) join pg_attribute a on a.attrelid = r.oid and a.attnum = k.number where k.place <= i.indnkeyatts)) order by x.relname)
          from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = r.oid and (i.indisunique or i.indisexclusion) and i.indexprs is null and i.indpred is null), '[]'),
      'uniqueness', coalesce((select json_agg(json_build_object('predicate', pg_get_expr(i.indpred, i.indrelid), 'nullsEqual', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
            'expressions', (select json_agg(pg_get_indexdef(i.indexrelid, k, false) order by k) from generate_series(1, i.indnkeyatts) k)) order by i.indexrelid)
          from pg_index i where i.indrelid = r.oid and (i.indisunique or i.indisexclusion)), '[]'),
      'foreignKeys', coalesce((select json_agg(json_build_object('name', k.conname, 'references', format('%I.%I', pn.nspname, p.relname),
            'columns', (select json_agg(a.attname order by u.place) from unnest(k.conkey) with ordinality u (number, place) join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
            'referenced', (select json_agg(a.attname order by u.place) from unnest(k.confkey) with ordinality u (number, place) join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number)) order by k.conname)
          from pg_constraint k join pg_class p on p.oid = k.confrelid join pg_namespace pn on pn.oid = p.relnamespace where k.conrelid = r.oid and k.contype = 'f' and k.conparentid = 0), '[]')
      ) order by r.name) from rel r where r.relkind in ('r', 'p')), '[]'),
  'views', coalesce((select json_agg(json_build_object('name', r.name, 'columns', coalesce((select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = r.oid and a.attnum > 0), '[]'),
      'tenantColumn', (select a.attname from pg_attribute a where a.attrelid = r.oid and a.attname in (select value from jsonb_each_text($1::jsonb)) order by a.attnum limit 1)) order by r.name) from rel r where r.relkind = 'v'), '[]'),
  'materializedViews', coalesce((select json_agg(json_build_object('name', r.name, 'columns', coalesce((select json_agg(a.attname order by a.attnum) from pg_attribute a where a.attrelid = r.oid and a.attnum > 0), '[]'),
      'tenantColumn', (select a.attname from pg_attribute a where a.attrelid = r.oid and a.attname in (select value from jsonb_each_text($1::jsonb)) order by a.attnum limit 1)) order by r.name) from rel r where r.relkind = 'm'), '[]'),
  'foreignTables', coalesce((select json_agg(r.name order by r.name) from rel r where r.relkind = 'f'), '[]'),
  'sequences', coalesce((select json_agg(r.name order by r.name) from rel r where r.relkind = 'S'), '[]'),
  'functions', coalesce((select json_agg(json_build_object('name', format('%I.%I', o.nspname, p.proname), 'definer', p.prosecdef, 'executable', has_function_privilege($2, p.oid, 'execute'),
      'arguments', coalesce((select json_agg(format_type(t, null)) from unnest(p.proargtypes) t), '[]'), 'set', p.proretset) order by o.nspname, p.proname, p.oid)
      from pg_proc p join ours o on o.oid = p.pronamespace where p.prokind = 'f' and p.prorettype <> 'trigger'::regtype and p.prorettype <> 'event_trigger'::regtype
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i'))), '[]')
) as facts`
