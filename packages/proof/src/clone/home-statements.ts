/**
 * A schema of the application written down once more, as the home of one tenant: what a migration makes that runs with
 * the home first in the search path. Reference tables, types and extensions stay where all tenants find them.
 */

import type { Client } from 'pg'
import type { SchemaFacts } from '../seed/schema-facts.ts'
import type { SchemaStatement } from './schema-statements.ts'

/** Where migrations put tables before tenants had homes. */
const SHARED_SCHEMA = 'public'

/** Names of the shared schema that no home has, quoted where SQL wants it. */
export type SharedNames = ReadonlySet<string>

/** Reads what stays: tables without a tenant, types, and what extensions brought. */
export async function readSharedNames(client: Client, facts: SchemaFacts): Promise<SharedNames> {
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(t.typname) as name from pg_type t left join pg_class c on c.oid = t.typrelid
      where t.typnamespace = $1::text::regnamespace and (t.typtype in ('e', 'd', 'r', 'm') or c.relkind = 'c')
     union
     select split_part(o.identity, '.', 2) from pg_depend d, lateral pg_identify_object(d.classid, d.objid, 0) o
      where d.deptype = 'e' and d.classid in ('pg_class'::regclass, 'pg_type'::regclass) and o.schema = $1::text
     union
     select quote_ident(p.proname) from pg_depend d join pg_proc p on d.classid = 'pg_proc'::regclass and d.objid = p.oid
      where d.deptype = 'e' and p.pronamespace = $1::text::regnamespace`,
    [SHARED_SCHEMA],
  )
  const central = facts.tables
    .filter(({ name, tenantColumn }) => tenantColumn === undefined && name.startsWith(`${SHARED_SCHEMA}.`))
    .map(({ name }) => name.slice(SHARED_SCHEMA.length + 1))
  return new Set([...rows.map(({ name }) => name), ...central])
}

const QUALIFIED = /\bpublic\.("(?:[^"]|"")+"|[A-Za-z_][\w$]*)/g

/** Returns a text of SQL or a name with the tenant's own things in `schema`; without one, where the search path says. */
export function inHome(text: string, schema: string | undefined, shared: SharedNames): string {
  return text.replace(QUALIFIED, (whole, name: string) =>
    shared.has(name) ? whole : schema === undefined ? name : `${schema}.${name}`,
  )
}

/** Returns the statements that make a home. Its policies ask for a tenant that lives there, as those of the original ask for one that shares. */
export function homeStatements(
  statements: readonly SchemaStatement[],
  schema: string,
  shared: SharedNames,
): SchemaStatement[] {
  const made = statements.flatMap((statement) => {
    const object = inHome(statement.object, schema, shared)
    if (object === statement.object || statement.leftOut !== undefined) return []
    const sql = inHome(statement.sql, schema, shared).replaceAll('(s.home IS NULL)', `(s.home = '${schema}'::text)`)
    return [{ ...statement, object, sql }]
  })
  const own: SchemaStatement = {
    stage: 'structure',
    object: `schema ${schema}`,
    sql: `create schema ${schema} authorization rowhouse_owner; grant usage on schema ${schema} to rowhouse_app`,
  }
  return [own, ...made]
}
