import type { OperatorConnections } from './operator-connections.ts'
import { listServers } from './servers.ts'

/** Something that belongs to no row of the registry, or a row whose thing is gone. */
export interface Orphan {
  readonly server: string
  readonly kind: 'schema' | 'database' | 'resident' | 'placement'
  readonly name: string
  readonly what: string
}

interface PlacedRow {
  readonly tenant_id: string
  readonly slug: string
  readonly state: string
  readonly model: string
  readonly database_name: string | null
  readonly schema_name: string | null
}

/**
 * Compares the registry with what is on the servers: every schema and database of a tenant, and every key, belongs to a
 * placement, and every placement of a tenant that is served has them. Servers that are down are not visited.
 */
export async function findOrphans(connections: OperatorConnections): Promise<Orphan[]> {
  const servers = await listServers(connections.central)
  const found = await Promise.all(
    servers.filter(({ state }) => state !== 'down').map(({ name }) => findOnServer(connections, name)),
  )
  return found.flat()
}

/** Where tenants live, and the other home of those that are being moved: one that is being made, or is kept. */
const PLACED = `
  select p.tenant_id, t.slug, t.state, p.model, p.database_name, p.schema_name
    from rowhouse.placement p join rowhouse.tenant t on t.id = p.tenant_id where p.server = $1 and t.state <> 'erased'
  union all
  select m.tenant_id, t.slug, 'provisioning', e.home ->> 'model', e.home ->> 'database', e.home ->> 'schema'
    from rowhouse.move m join rowhouse.tenant t on t.id = m.tenant_id, lateral (values (m.source), (m.target)) e (home)
   where m.state not in ('completed', 'aborted', 'reverted') and e.home ->> 'server' = $1`

async function findOnServer(connections: OperatorConnections, server: string): Promise<Orphan[]> {
  const placed = (await connections.central.query<PlacedRow>(PLACED, [server])).rows
  const shared = { server, database: undefined }
  const platform = await connections.platformId()
  const here = await connections.transact(shared, async (client) => ({
    schemas: await names(client, 'select nspname as name from pg_namespace where rowhouse.is_home(nspname)'),
    databases: await names(
      client,
      `select datname as name from pg_database where datname ~ '^t_[a-z0-9_]{2,40}_[0-9a-f]{12}$' and datconnlimit <> -2`,
    ),
    // Databases belong to the whole server, where another platform may have its own: the comment says whose one is.
    ours: await names(
      client,
      `select datname as name from pg_database where datconnlimit <> -2 and shobj_description(oid, 'pg_database') = 'rowhouse ${platform}'`,
    ),
    fenced: await names(client, `select tenant_id as name from rowhouse.resident where state = 'fenced'`),
    residents: await names(
      client,
      `select tenant_id as name from rowhouse.resident where tenant_id <> '00000000-0000-0000-0000-000000000000'`,
    ),
  }))
  const report = (kind: Orphan['kind'], what: string) => (name: string) => ({ server, kind, name, what })
  const settled = placed.filter(({ state }) => state !== 'provisioning' && state !== 'failed')
  const shareTables = placed.filter(({ model }) => model !== 'database')
  return [
    ...missing(
      here.schemas,
      placed.map((row) => row.schema_name),
    ).map(report('schema', 'belongs to no tenant of the registry')),
    ...missing(
      here.ours,
      placed.map((row) => row.database_name),
    ).map(report('database', 'belongs to no tenant of the registry')),
    ...missing(
      here.residents,
      shareTables.map((row) => row.tenant_id),
    ).map(report('resident', 'has a key here and no placement')),
    ...missing(
      here.fenced,
      placed.filter(({ state }) => state === 'provisioning').map((row) => row.tenant_id),
    ).map(report('resident', 'is fenced though nobody moves it; suspend and resume it')),
    ...missing(
      settled.map((row) => row.schema_name),
      here.schemas,
    ).map(report('placement', 'its schema is not there')),
    ...missing(
      settled.map((row) => row.database_name),
      here.databases,
    ).map(report('placement', 'its database is not there')),
    ...missing(
      settled.filter(({ model }) => model !== 'database').map((row) => row.tenant_id),
      here.residents,
    ).map(report('placement', 'has no key where it is placed')),
  ]
}

async function names(
  client: { query(text: string): Promise<{ rows: { name: string }[] }> },
  text: string,
): Promise<string[]> {
  return (await client.query(text)).rows.map(({ name }) => name)
}

/** Returns what is in `wanted` and not in `present`. */
function missing(wanted: readonly (string | null)[], present: readonly (string | null)[]): string[] {
  const known = new Set(present)
  return wanted.filter((name): name is string => name !== null && !known.has(name))
}
