import type pg from 'pg'
import { listTenantTables } from '../tenant-data/tenant-tables.ts'

/** Why rows, or something rows depend on, stay behind or change when a tenant moves. */
export type GapReason =
  | 'no-primary-key'
  | 'unprotected'
  | 'always-trigger'
  | 'shared-rows'
  | 'loose-sequence'
  | 'large-objects'

/** Something a move does not carry, or not as it is. */
export interface TableGap {
  /** Name of the table, or of the sequence, in the application's schema. */
  readonly table: string
  readonly reason: GapReason
  /** For people: what happens, and what to do. */
  readonly detail: string
  /** True where a move is refused or rows are left behind; otherwise something to know. */
  readonly isFault: boolean
}

const FAULTS: ReadonlySet<GapReason> = new Set(['no-primary-key', 'unprotected', 'always-trigger'])

/**
 * Looks at the shared tables for what does not move with a tenant.
 *
 * @param client  of the operator, in a database of tenants
 */
export async function findTableGaps(client: Pick<pg.ClientBase, 'query'>, schema = 'public'): Promise<TableGap[]> {
  const tables = await listTenantTables(client, schema)
  const { rows } = await client.query<{ table: string; reason: GapReason; what: string }>(GAPS, [
    schema,
    tables.map(({ oid }) => oid),
  ])
  const keyless = tables.filter(({ key }) => key.length === 0)
  return [...keyless.map(({ name }) => ({ table: name, reason: 'no-primary-key' as const, what: '' })), ...rows].map(
    ({ table, reason, what }) => ({ table, reason, detail: DETAILS[reason](what), isFault: FAULTS.has(reason) }),
  )
}

/** $1 is the schema, $2 the tables of tenants in it. */
const GAPS = `
  select c.relname as table, 'unprotected' as reason, '' as what
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
   where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and c.oid <> all ($2::oid[])
  union all
  select c.relname, 'always-trigger', t.tgname
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
   where t.tgrelid = any ($2::oid[]) and not t.tgisinternal and t.tgenabled in ('A', 'R')
  union all
  select c.relname, 'shared-rows', string_agg(distinct p.relname, ', ')
    from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_class p on p.oid = f.confrelid
   where f.contype = 'f' and f.conrelid = any ($2::oid[]) and f.confrelid <> all ($2::oid[]) group by c.relname
  union all
  select c.relname, 'loose-sequence', ''
    from pg_class c where c.relnamespace = $1::regnamespace and c.relkind = 'S'
     and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i'))
  union all
  select c.relname, 'large-objects', string_agg(a.attname, ', ')
    from pg_attribute a join pg_class c on c.oid = a.attrelid
   where a.attrelid = any ($2::oid[]) and a.attnum > 0 and not a.attisdropped and a.atttypid = 'oid'::regtype group by c.relname
  order by 1, 2`

const DETAILS: Readonly<Record<GapReason, (what: string) => string>> = {
  'no-primary-key': () => 'has no primary key: moves are refused; add one that begins with tenant_id',
  unprotected: () =>
    'has a column tenant_id and no wall: its rows do not move; protect it, or keep it out of this schema',
  'always-trigger': (name) =>
    `has trigger "${name}", which fires while rows are copied: a copy it changes ends the move with ERR_MOVE_DIVERGED; enable it without ALWAYS or REPLICA`,
  'shared-rows': (tables) =>
    `refers to rows of ${tables}, which stay: bring them to every home that is there already before a tenant moves to it`,
  'loose-sequence': () => 'is a sequence that no column owns: its numbers do not move; let a column own it',
  'large-objects': (columns) => `has columns of type oid (${columns}): large objects they name do not move`,
}
