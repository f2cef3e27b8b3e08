/**
 * Databases weakened on purpose: copies of the user's own schema in which a known wall is missing, so that the attack
 * on that wall is seen to succeed on every table before its failure elsewhere is believed.
 */

import type { SchemaFacts, TableFacts } from '../seed/schema-facts.ts'
import { quoted } from '../seed/seed-rows.ts'
import type { TenantRef } from './arena.ts'

export type WeaknessId = keyof typeof WEAKNESSES

export interface Weakness {
  /** One sentence: what is missing. */
  readonly what: string
  /** SQL for the superuser. */
  sql(facts: SchemaFacts, app: string, tenants: { attacker: TenantRef; victim: TenantRef }): readonly string[]
  /** What stands in front instead of the library under test. */
  readonly library?: 'careless'
  /** Connections of the application come as a superuser. */
  readonly superuser?: true
}

const owned = (facts: SchemaFacts): TableFacts[] =>
  facts.tables.filter(({ tenantColumn }) => tenantColumn !== undefined)

/** Without the right to a table a weakened policy on it shows nothing. */
const reachable = (facts: SchemaFacts, app: string) => [
  ...schemasOf(facts).map((schema) => `grant usage on schema ${schema} to ${app}`),
  ...owned(facts).map(({ name }) => `grant all on ${name} to ${app}`),
]

const open = (facts: SchemaFacts, app: string) => [
  ...reachable(facts, app),
  ...owned(facts).map(({ name }) => `alter table ${name} disable row level security`),
  ...[...facts.views, ...facts.materializedViews].map(({ name }) => `grant select on ${name} to ${app}`),
]

/**
 * Has the database believe a context without its signature where `condition` holds; genuine ones are believed as before.
 *
 * @param condition  SQL over `a`, the row of `rowhouse.accepted_stamp` whose tenant the context names
 */
export function believing(condition: string): string {
  return `do $believing$
  declare
    genuine text := rtrim(pg_catalog.pg_get_viewdef('rowhouse.sealed'::regclass), ';');
    others text := (select pg_catalog.string_agg(pg_catalog.format(', a.%I', c.attname), '' order by c.attnum) from pg_catalog.pg_attribute c
      where c.attrelid = 'rowhouse.sealed'::regclass and c.attnum > 0 and not c.attisdropped and c.attname not in ('id', 'units', 'actor'));
  begin
    execute 'create or replace view rowhouse.sealed with (security_barrier = true) as with genuine as (' || genuine || ')
      select * from genuine union all
      (select a.tenant_id, null::uuid[], null::text' || coalesce(others, '') || $condition$ from rowhouse.accepted_stamp a
        where a.tenant_id::text = substr(current_setting('rowhouse.seal', true), 65, 36) and not exists (select from genuine)
          and (${condition}) limit 1) $condition$;
  end $believing$`
}

/** Policies that ask for no signature: the tenant is whatever the setting says. */
const UNSIGNED = believing('true')

export const WEAKNESSES = {
  open: { what: 'no row-level security and every privilege granted', sql: open },
  'fail-open': {
    what: 'policies let everybody in who has no tenant',
    sql: (facts, app) => [
      ...reachable(facts, app),
      ...owned(facts).flatMap(({ name, tenantColumn }) => [
        ...dropPolicies(name),
        `create policy p on ${name} using (coalesce(current_setting('rowhouse.seal', true), '') = '' or ${quoted(tenantColumn ?? '')}::text = substr(current_setting('rowhouse.seal', true), 65, 36))`,
      ]),
    ],
  },
  unsigned: {
    what: 'the context is believed without its signature',
    sql: (facts, app) => [UNSIGNED, ...reachable(facts, app)],
  },
  'role-attributes': { what: 'the application logs in as a superuser', sql: () => [], superuser: true },
  careless: {
    what: 'the library leaves the tenant on the connection and finds it too late',
    sql: (facts, app) => open(facts, app).filter((sql) => sql.startsWith('grant')),
    library: 'careless',
  },
  folded: {
    what: 'the context function is IMMUTABLE, so a cached plan remembers the tenant of whoever made it',
    sql: (facts, app) => [
      ...reachable(facts, app),
      `create function public.folded_tenant() returns text language sql immutable as $$ select substr(current_setting('rowhouse.seal', true), 65, 36) $$`,
      ...owned(facts).flatMap(({ name, tenantColumn }) => [
        ...dropPolicies(name),
        `create policy p on ${name} using (${quoted(tenantColumn ?? '')}::text = public.folded_tenant())`,
      ]),
    ],
  },
  'global-keys': { what: 'keys and foreign keys do not start with the tenant', sql: globalKeys },
  'public-sequences': {
    what: 'sequences are readable by the application',
    sql: (facts, app) =>
      facts.sequences.flatMap((name) => [
        `grant usage on schema ${schemaOf(name)} to ${app}`,
        `grant all on sequence ${name} to ${app}`,
      ]),
  },
  'generous-owner': {
    what: 'new tables are readable, and the application may create',
    sql: (facts, app) => [
      ...schemasOf(facts).flatMap((schema) => [
        `grant create, usage on schema ${schema} to ${app}`,
        `alter default privileges in schema ${schema} grant all on tables to ${app}`,
      ]),
      "do $$ begin execute format('grant temporary, create on database %I to public', current_database()); end $$",
      ...owned(facts).map(({ name }) => `grant all on ${name} to ${app}`),
    ],
  },
} as const satisfies Readonly<Record<string, Weakness>>

function dropPolicies(table: string): string[] {
  return [
    `do $$ declare p name; begin for p in select polname from pg_catalog.pg_policy where polrelid = '${table.replaceAll("'", "''")}'::regclass loop execute format('drop policy %I on ${table.replaceAll("'", "''")}', p); end loop; end $$`,
  ]
}

function schemasOf(facts: SchemaFacts): string[] {
  const names = [...owned(facts), ...facts.views, ...facts.materializedViews].map(({ name }) => name)
  return [...new Set(names.map(schemaOf))]
}

function schemaOf(name: string): string {
  return /^(?:"(?:[^"]|"")*"|[^".]+)/.exec(name)?.[0] ?? ''
}

/** The attacker's rows go first: they have the victim's ids, and a key over all tenants would not come to be. */
function globalKeys(facts: SchemaFacts, app: string, { attacker }: { attacker: TenantRef }): string[] {
  const tables = owned(facts)
  const without = (table: TableFacts, columns: readonly string[]) =>
    columns.filter((column) => column !== table.tenantColumn)
  const drops = tables.flatMap((table) =>
    table.foreignKeys.map((key) => `alter table ${table.name} drop constraint if exists ${quoted(key.name)}`),
  )
  const rows = tables.map(
    ({ name, tenantColumn }) => `delete from ${name} where ${quoted(tenantColumn ?? '')}::text = '${attacker.id}'`,
  )
  const keys = tables
    .filter(({ partition, partitioned }) => !partition && !partitioned)
    .flatMap((table) =>
      table.keys
        .map((key) => without(table, key.columns))
        .filter((columns) => columns.length > 0)
        .map((columns) => `create unique index on ${table.name} (${columns.map(quoted).join(', ')})`),
    )
  const references = tables.flatMap((table) =>
    table.foreignKeys.flatMap((key) => {
      const parent = facts.tables.find(({ name }) => name === key.references)
      if (parent?.tenantColumn === undefined || parent.partitioned) return []
      const columns = without(table, key.columns)
      const referenced = without(parent, key.referenced)
      return columns.length === 0 || columns.length !== referenced.length
        ? []
        : [
            `alter table ${table.name} add constraint ${quoted(key.name)} foreign key (${columns.map(quoted).join(', ')}) references ${key.references} (${referenced.map(quoted).join(', ')})`,
          ]
    }),
  )
  return [...reachable(facts, app), ...drops, ...rows, ...keys, ...references]
}
