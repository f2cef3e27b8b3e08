/** The two tenants of a stage, and where they are put: statements of the superuser on scratch databases. */

import type { Client } from 'pg'
import { inHome, type SharedNames } from '../clone/home-statements.ts'
import { connect, onDatabase, type ScratchServer } from '../clone/scratch-database.ts'
import type { SchemaFacts } from '../seed/schema-facts.ts'
import { quoted } from '../seed/seed-rows.ts'
import type { TenantRef } from './arena.ts'
import type { Homes, Pair } from './placing.ts'

/** Fixed, so that rows and reports are the same in every run. */
export const ATTACKER: TenantRef = { id: '0a77ac00-0000-4000-8000-00000000000a', slug: 'verify-attacker' }
export const VICTIM: TenantRef = { id: '0b0b0b00-0000-4000-8000-00000000000b', slug: 'verify-victim' }

export interface TenantHome {
  readonly tenant: TenantRef
  readonly schema: string
}

/** Databases that arenas are copied from. */
export interface Templates {
  /** Where the victim lives. */
  readonly victim: string
  /** Where the attacker lives, where that is another one than the victim's. */
  readonly own: string | undefined
  /** The registry, and nobody's rows that are of interest. */
  readonly central: string
}

/** For people to read, in the shape that `rowhouse.is_home` knows. */
export function homesOf({ attacker, victim }: Pair): Homes {
  const name = ({ slug, id }: TenantRef) => `t_${slug.replaceAll('-', '_')}_${id.slice(-12)}`
  return {
    attacker: attacker === 'schema' ? name(ATTACKER) : undefined,
    victim: victim === 'schema' ? name(VICTIM) : undefined,
  }
}

export function tenantsWithHomes({ attacker, victim }: Homes): TenantHome[] {
  return [
    ...(attacker === undefined ? [] : [{ tenant: ATTACKER, schema: attacker }]),
    ...(victim === undefined ? [] : [{ tenant: VICTIM, schema: victim }]),
  ]
}

/** Takes the rows of a tenant from the shared tables to its home. Before there are keys, policies and triggers. */
export async function moveRows(
  client: Client,
  facts: SchemaFacts,
  { tenant, schema }: TenantHome,
  shared: SharedNames,
): Promise<void> {
  for (const { name, tenantColumn, partition, columns } of facts.tables) {
    const home = inHome(name, schema, shared)
    if (tenantColumn === undefined || partition || home === name) continue
    const kept = columns.filter(({ generated }) => !generated).map((column) => quoted(column.name))
    await client.query(
      `with moved as (delete from ${name} where ${quoted(tenantColumn)}::text = $1 returning ${kept.join(', ')})
       insert into ${home} (${kept.join(', ')}) overriding system value select ${kept.join(', ')} from moved`,
      [tenant.id],
    )
  }
}

/** Has a tenant that was made in the shared tables live in its schema. */
export async function houseTenant(client: Client, { tenant, schema }: TenantHome): Promise<void> {
  await client.query('update rowhouse.resident set home = $2 where tenant_id = $1', [tenant.id, schema])
  await client.query(`update rowhouse.placement set model = 'schema', schema_name = $2 where tenant_id = $1`, [
    tenant.id,
    schema,
  ])
}

/** Gives each tenant with a database of its own one that knows nobody else, and leaves the others what they share. */
export async function layOut(
  server: ScratchServer,
  adminUrl: string,
  whole: string,
  pair: Pair,
  facts: SchemaFacts,
): Promise<Templates> {
  if (pair.attacker !== 'database' && pair.victim !== 'database')
    return { victim: whole, own: undefined, central: whole }
  const without = async (left: readonly TenantRef[]) => {
    const name = await server.create(whole)
    const client = await connect(onDatabase(adminUrl, name))
    try {
      for (const tenant of left) {
        await removeTenant(client, facts, tenant)
        await client.query('delete from rowhouse.resident where tenant_id = $1', [tenant.id])
      }
      await client.query('analyze')
    } finally {
      await client.end()
    }
    return name
  }
  const victim = await without([ATTACKER])
  // Between models nothing is attacked but the victim's: nobody goes to the attacker's own.
  if (pair.attacker !== pair.victim) return { victim, own: undefined, central: whole }
  const own = await without([VICTIM])
  return { victim, own, central: await without([ATTACKER, VICTIM]) }
}

/**
 * Has the registry of this database say that a tenant lives here, whatever is true: as a registry that is old, or was
 * changed by somebody, would. What the database itself knows of the tenant stays.
 */
export async function claimHere(client: Client, tenant: TenantRef): Promise<void> {
  await client.query(
    `update rowhouse.placement set server = 'main', model = 'pooled', database_name = null where tenant_id = $1 and model = 'database'`,
    [tenant.id],
  )
}

/** Places tenants in databases of their own. */
export async function placeInDatabases(
  client: Client,
  ...placed: readonly (readonly [tenant: TenantRef, database: string])[]
): Promise<void> {
  for (const [{ id }, database] of placed)
    await client.query(`update rowhouse.placement set model = 'database', database_name = $2 where tenant_id = $1`, [
      id,
      database,
    ])
}

/** Removes the rows of a tenant, also from what was computed of them. */
export async function removeTenant(client: Client, facts: SchemaFacts, { id }: TenantRef): Promise<void> {
  await client.query('set session_replication_role = replica')
  for (const { name, tenantColumn, partition } of facts.tables)
    if (tenantColumn !== undefined && !partition)
      await client.query(`delete from ${name} where ${quoted(tenantColumn)}::text = $1`, [id])
  // As the superuser, whom no policy stops; one that is made of another is right after the second time.
  const refresh = facts.materializedViews.map(({ name }) => name)
  for (const name of [...refresh, ...refresh]) await client.query(refreshSql(name)).catch(() => {})
  await client.query('set session_replication_role = origin')
}

function refreshSql(view: string): string {
  return `do $$ declare was text := (select relowner::regrole from pg_catalog.pg_class where oid = '${view.replaceAll("'", "''")}'::regclass);
  begin
    alter materialized view ${view} owner to current_user;
    refresh materialized view ${view};
    execute pg_catalog.format('alter materialized view ${view.replaceAll("'", "''").replaceAll('%', '%%')} owner to %s', was);
  end $$`
}
