import type pg from 'pg'
import { escapeIdentifier } from 'pg'

type Runner = Pick<pg.ClientBase, 'query'>

/** A column a row is written with; generated ones are made again where it arrives. */
export interface TenantColumn {
  readonly name: string
  /** As PostgreSQL writes it, e.g. `numeric(12,2)`. */
  readonly type: string
  readonly identity: boolean
  /** Schema and name, quoted; null for the default, and for types that have none. */
  readonly collation: string | null
}

/** A table of the application that holds rows of tenants, in one home. */
export interface TenantTable {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** Schema and name, quoted, safe to splice; `only` in front where another table inherits from it. */
  readonly from: string
  /** In the order of the table, without generated ones. */
  readonly columns: readonly TenantColumn[]
  /** Names of all columns, quoted, separated by commas. */
  readonly columnList: string
  /** Columns of the primary key, `tenant_id` among them; empty where there is none. */
  readonly key: readonly string[]
  /** Other tables of the list whose rows have to be there first. */
  readonly references: readonly string[]
  /** Sequences of identity and serial columns, by column. */
  readonly sequences: readonly { readonly column: string; readonly sequence: string }[]
}

interface Row {
  readonly oid: number
  readonly name: string
  readonly only: boolean
  readonly columns: readonly TenantColumn[]
  readonly key: readonly string[] | null
  readonly references: readonly string[]
  readonly sequences: readonly { readonly column: string; readonly sequence: string }[]
}

const TEXT = `
  with tenant_table as (
    select c.oid, c.relname, c.relkind from pg_class c
     where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'rowhouse_wall'))
  select t.oid::int as oid, t.relname as name, t.relkind = 'r' as only,
         (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                            'identity', a.attidentity <> '',
                                            'collation', (select format('%I.%I', n.nspname, l.collname) from pg_collation l join pg_namespace n on n.oid = l.collnamespace
                                                           where l.oid = a.attcollation and l.collname <> 'default')) order by a.attnum)
            from pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
         (select json_agg(a.attname order by k.n)
            from pg_index i, unnest(i.indkey::int2[]) with ordinality k (attnum, n)
            join pg_attribute a on a.attnum = k.attnum
           where i.indrelid = t.oid and a.attrelid = t.oid and i.indisprimary) as key,
         coalesce((select json_agg(distinct u.relname) from pg_constraint f join tenant_table u on u.oid = f.confrelid
                    where f.conrelid = t.oid and f.contype = 'f' and f.confrelid <> t.oid), '[]') as references,
         coalesce((select json_agg(json_build_object('column', a.attname, 'sequence', d.objid::regclass::text) order by a.attnum)
                     from pg_depend d join pg_class q on q.oid = d.objid and q.relkind = 'S'
                     join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
                      and d.deptype in ('a', 'i')), '[]') as sequences
    from tenant_table t order by t.relname`

/**
 * Lists the tables of a home that hold rows of tenants: those behind a wall. A table comes after those it refers to; of a
 * circle, in the order of names.
 *
 * @param schema  the tenant's own, or the application's
 */
export async function listTenantTables(client: Runner, schema: string): Promise<TenantTable[]> {
  const { rows } = await client.query<Row>(TEXT, [escapeIdentifier(schema)])
  return inOrder(rows).map(({ only, key, ...row }) => ({
    ...row,
    schema,
    from: `${only ? 'only ' : ''}${escapeIdentifier(schema)}.${escapeIdentifier(row.name)}`,
    columnList: row.columns.map(({ name }) => escapeIdentifier(name)).join(', '),
    key: key ?? [],
  }))
}

function inOrder(rows: readonly Row[]): Row[] {
  const waiting = new Map(rows.map((row) => [row.name, row]))
  const ordered: Row[] = []
  while (waiting.size > 0) {
    const free = [...waiting.values()].filter(({ references }) => !references.some((name) => waiting.has(name)))
    for (const row of free.length > 0 ? free : [...waiting.values()].slice(0, 1)) {
      ordered.push(row)
      waiting.delete(row.name)
    }
  }
  return ordered
}
