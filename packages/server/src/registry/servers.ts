import pg from 'pg'
import { ConfigError } from 'rowhouse'
import { install, installCitus, readConnectionUrl } from 'rowhouse/install'
import type { ServerNow } from '../placing/placement-request.ts'
import type { ServerKind } from '../placing/placement-rules.ts'
import { CENTRAL, type OperatorConnections } from './operator-connections.ts'

/** A PostgreSQL server as the registry knows it. */
export interface RegisteredServer extends ServerNow {
  /** Where a process of the application finds its URL, `env:NAME` or `file:/path`; undefined for `main`. */
  readonly appUrl: string | undefined
  readonly adminUrl: string | undefined
  readonly replicaUrls: readonly string[]
  readonly tenantsByModel: { readonly pooled: number; readonly schema: number; readonly database: number }
}

export interface ServerToAdd {
  /** Lower-case letters, digits and hyphens; never changes. */
  readonly name: string
  /** Where its data lies, e.g. `eu-central`: a tenant's region is compared with it. */
  readonly region: string
  /** @defaultValue 'postgres' */
  readonly kind?: ServerKind
  /** Tenants it may hold. @defaultValue as many as come */
  readonly capacity?: number
  /** References `env:NAME` or `file:/path`, never URLs. Each URL names the server's shared database. */
  readonly appUrl: string
  readonly adminUrl: string
  readonly replicaUrls?: readonly string[]
}

const SELECT = `
  select s.name, s.region, s.kind, s.state, s.capacity, s.app_url as "appUrl", s.admin_url as "adminUrl", s.replica_urls as "replicaUrls",
         count(p.tenant_id)::int as tenants, count(*) filter (where p.model = 'pooled')::int as pooled,
         count(*) filter (where p.model = 'schema')::int as schema, count(*) filter (where p.model = 'database')::int as database
    from rowhouse.server s left join rowhouse.placement p on p.server = s.name`

interface ServerRow extends Omit<RegisteredServer, 'tenantsByModel' | 'appUrl' | 'adminUrl'> {
  readonly appUrl: string | null
  readonly adminUrl: string | null
  readonly pooled: number
  readonly schema: number
  readonly database: number
}

/** Returns all servers by name, with how many tenants live on each. */
export async function listServers(central: Pick<pg.ClientBase, 'query'> | pg.Pool): Promise<RegisteredServer[]> {
  const { rows } = await central.query<ServerRow>(`${SELECT} group by s.name order by s.name`)
  return rows.map(({ pooled, schema, database, appUrl, adminUrl, ...rest }) => ({
    ...rest,
    databases: database,
    appUrl: appUrl ?? undefined,
    adminUrl: adminUrl ?? undefined,
    tenantsByModel: { pooled, schema, database },
  }))
}

/**
 * Adds a server: installs Rowhouse in its shared database, checks that the application's login can bypass nothing, and
 * enters it into the registry. Adding the same server again changes its capacity and references.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` for a reference that is not set here, a wrong root key, or a name that is
 *   taken by a server with another region or kind
 * @throws {MigrationError} what `install` throws, e.g. `ERR_SERVER_UNSUPPORTED` for one that is too old
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 */
export async function addServer(
  connections: OperatorConnections,
  rootKey: string | undefined,
  server: ServerToAdd,
): Promise<RegisteredServer> {
  const { name, region, kind = 'postgres', capacity, appUrl, adminUrl, replicaUrls = [] } = requireServer(server)
  const url = readConnectionUrl(adminUrl, `server "${name}" as operator`)
  const installOn = kind === 'citus' ? installCitus : install
  await installOn({ url, rootKey, ...loginOf(readConnectionUrl(appUrl, `server "${name}"`)) })
  await assertSameServer(readConnectionUrl(adminUrl, `server "${name}"`), readConnectionUrl(appUrl, `server "${name}"`))
  const { rowCount } = await connections.transact(CENTRAL, (client) =>
    client.query(
      `insert into rowhouse.server (name, region, kind, capacity, app_url, admin_url, replica_urls) values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (name) do update set capacity = excluded.capacity, app_url = excluded.app_url, admin_url = excluded.admin_url,
         replica_urls = excluded.replica_urls
       where server.region = excluded.region and server.kind = excluded.kind`,
      [name, region, kind, capacity ?? null, appUrl, adminUrl, replicaUrls],
    ),
  )
  if (rowCount === 0) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot add server "${name}": there is one of this name in another region or of another kind; choose another name`,
    )
  }
  return requireRegistered(connections, name)
}

/** Draining servers keep their tenants and take no new ones; those that are down are not visited either. */
export async function setServerState(
  connections: OperatorConnections,
  name: string,
  state: RegisteredServer['state'],
): Promise<RegisteredServer> {
  await connections.transact(CENTRAL, (client) =>
    client.query('update rowhouse.server set state = $2 where name = $1', [name, state]),
  )
  return requireRegistered(connections, name)
}

async function requireRegistered(connections: OperatorConnections, name: string): Promise<RegisteredServer> {
  const found = (await listServers(connections.central)).find((server) => server.name === name)
  if (found !== undefined) return found
  throw new ConfigError('ERR_CONFIG_INVALID', `Cannot find server "${name}": the registry knows none of this name`)
}

const REFERENCE = /^(env:[A-Za-z_][A-Za-z0-9_]*|file:\/.+)$/

function requireServer(server: ServerToAdd): ServerToAdd {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(server.name) || server.name === 'main') {
    throw new RangeError(
      `Cannot name a server "${server.name}": wanted 1 to 63 lower-case letters, digits and hyphens, a letter first, and not "main", which is the central one`,
    )
  }
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(server.region)) {
    throw new RangeError(
      `Cannot put server "${server.name}" into region "${server.region}": wanted lower-case letters, digits and hyphens`,
    )
  }
  for (const reference of [server.appUrl, server.adminUrl, ...(server.replicaUrls ?? [])]) {
    if (REFERENCE.test(reference)) continue
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot add server "${server.name}": its URLs are secrets; wanted references "env:NAME" or "file:/path" that say where a process finds them`,
    )
  }
  if (server.kind === 'citus' && (server.replicaUrls ?? []).length > 0) {
    throw new ConfigError(
      'ERR_CONFIG_INVALID',
      `Cannot add server "${server.name}" with replicas: reads of a Citus server go to its coordinator; leave replicaUrls out`,
    )
  }
  const { capacity } = server
  if (capacity !== undefined && (!Number.isSafeInteger(capacity) || capacity < 0)) {
    throw new RangeError(
      `Cannot give server "${server.name}" a capacity of ${capacity}: wanted a whole number from 0 on`,
    )
  }
  return server
}

/** The application's URL says which password `rowhouse_app` gets; another login is the operator's to make. */
function loginOf(appUrl: string): { appPassword?: string } {
  const { username, password } = new URL(appUrl)
  return username === 'rowhouse_app' && password !== '' ? { appPassword: decodeURIComponent(password) } : {}
}

/** Two URLs of one server, or tenants would be made in one database and looked for in another. */
async function assertSameServer(adminUrl: string, appUrl: string): Promise<void> {
  const ask = async (url: string) => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
    client.on('error', () => {})
    await client.connect().catch((error: Error) => {
      throw new ConfigError(
        'ERR_CONFIG_INVALID',
        `Cannot log in with the application's URL of the server: ${error.message}`,
        { cause: error },
      )
    })
    try {
      // The start of the server and the database's oid: neither is secret, and no two clusters share both.
      const { rows } = await client.query(`select pg_postmaster_start_time()::text || current_database() as here`)
      return rows[0].here as string
    } finally {
      await client.end()
    }
  }
  if ((await ask(adminUrl)) === (await ask(appUrl))) return
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    'Cannot add the server: its two URLs lead to different databases; the operator and the application work in the same one',
  )
}
