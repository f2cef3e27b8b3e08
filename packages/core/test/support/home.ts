/** Homes for tenants of a test, made by plain SQL as provisioning makes them, and the rows that say who lives where. */

import pg from 'pg'
import type { TenantId } from 'rowhouse'
import { install, parseRootKey } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'
import { urlOf, withAdminClient } from './admin-client.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

/** Where a tenant's tables are. */
export interface Home {
  readonly placement: {
    readonly server: string
    readonly model: 'pooled' | 'schema' | 'database'
    readonly database: string | null
    readonly schema: string | null
  }
  /** Login of the application, to its database. */
  readonly appUrl: string
  /** Superuser of its database: looks behind the walls. Unqualified names lead into the home. */
  readonly admin: pg.Client
  /** Schema its tables are in. */
  readonly schema: string
  close(): Promise<void>
}

export interface NamedTenant {
  readonly id: string
  readonly slug: string
}

/** A PostgreSQL server besides the one of the central database. */
export interface OtherServer {
  /** Its name in the registry. */
  readonly name: string
  /** Superuser, maintenance database. */
  readonly adminUrl: string
  /** Environment variables the registry refers to. */
  readonly references: { readonly app: string; readonly admin: string }
  stop(): Promise<void>
}

/** Returns the namespace provisioning would choose. */
function namespaceOf({ id, slug }: NamedTenant): string {
  return `t_${slug.replaceAll('-', '_')}_${id.slice(-12)}`
}

/** Opens the shared tables of the central database. */
export async function openSharedHome(central: TestDatabase): Promise<Home> {
  const admin = await connect(central.adminUrl)
  return {
    placement: { server: 'main', model: 'pooled', database: null, schema: null },
    appUrl: central.appUrl,
    admin,
    schema: 'public',
    close: () => admin.end(),
  }
}

/** Makes an empty schema of the tenant's own in the central database. */
export async function createSchemaHome(central: TestDatabase, tenant: NamedTenant): Promise<Home> {
  const schema = namespaceOf(tenant)
  const admin = await connect(central.adminUrl)
  await admin.query(`create schema ${schema} authorization rowhouse_owner; set search_path = ${schema}, public`)
  return {
    placement: { server: 'main', model: 'schema', database: null, schema },
    appUrl: central.appUrl,
    admin,
    schema,
    close: () => admin.end(),
  }
}

/** Makes a database of the tenant's own on the server of the central one. */
export async function createDatabaseHome(): Promise<Home> {
  const database = await createTestDatabase()
  const admin = await connect(database.adminUrl)
  return {
    placement: { server: 'main', model: 'database', database: database.name, schema: null },
    appUrl: database.appUrl,
    admin,
    schema: 'public',
    close: async () => {
      await admin.end()
      await database.drop()
    },
  }
}

/** Makes a database of the tenant's own on another server. */
export async function createDistantHome(
  central: TestDatabase,
  server: OtherServer,
  tenant: NamedTenant,
): Promise<Home> {
  const database = namespaceOf(tenant)
  const adminUrl = urlOf(server.adminUrl, database)
  await withAdminClient(server.adminUrl, (admin) => admin.query(`create database ${database}`))
  await install({ url: adminUrl, rootKey: central.rootKey, appPassword: central.appPassword })
  await withAdminClient(server.adminUrl, (admin) =>
    admin.query(`
      revoke all on database ${database} from public;
      grant connect on database ${database} to rowhouse_app, rowhouse_migrator;
      grant create on database ${database} to rowhouse_owner`),
  )
  const admin = await connect(adminUrl)
  return {
    placement: { server: server.name, model: 'database', database, schema: null },
    appUrl: urlOf(adminUrl, database, { user: 'rowhouse_app', password: central.appPassword }),
    admin,
    schema: 'public',
    close: async () => {
      await admin.end()
      await withAdminClient(server.adminUrl, (client) =>
        client.query(`drop database if exists ${database} with (force)`),
      )
    },
  }
}

/** Starts a server of another major and enters it into the registry, its URLs by reference. */
export async function startOtherServer(central: TestDatabase, name: string, major: 15 | 18): Promise<OtherServer> {
  const settings = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }
  const server = await startPostgres({ major, settings })
  const variable = `TEST_SERVER_${name.toUpperCase().replaceAll('-', '_')}_${server.port}`
  const references = { app: `env:${variable}_APP`, admin: `env:${variable}_ADMIN` }
  process.env[`${variable}_APP`] = server.urlFor('postgres', { user: 'rowhouse_app', password: central.appPassword })
  process.env[`${variable}_ADMIN`] = server.url
  await withAdminClient(central.adminUrl, (admin) =>
    admin.query('insert into rowhouse.server (name, region, app_url, admin_url) values ($1, $1, $2, $3)', [
      name,
      references.app,
      references.admin,
    ]),
  )
  return { name, adminUrl: server.url, references, stop: () => server.stop() }
}

/** Enters an active tenant into the registry, without a placement. */
export async function registerTenant(central: pg.Client, slug: string): Promise<NamedTenant> {
  const { rows } = await central.query<NamedTenant>(
    'insert into rowhouse.tenant (id, slug, name) values (rowhouse.uuidv7(), $1, $1) returning id, slug',
    [slug],
  )
  return rows[0] as NamedTenant
}

/** Lets the tenant live in `home`: its key there, its placement in the registry. */
export async function settle(
  central: pg.Client,
  rootKey: string,
  tenant: NamedTenant,
  home: Home,
  epoch = 1,
): Promise<void> {
  await admit(rootKey, tenant, home, epoch)
  const { server, model, database, schema } = home.placement
  await central.query(
    `insert into rowhouse.placement (tenant_id, server, model, database_name, schema_name, epoch, key_version)
     values ($1, $2, $3, $4, $5, $6, 1)
     on conflict (tenant_id) do update set (server, model, database_name, schema_name, epoch, changed_at)
       = (excluded.server, excluded.model, excluded.database_name, excluded.schema_name, excluded.epoch, now())`,
    [tenant.id, server, model, database, schema, epoch],
  )
}

/** Makes the database of `home` accept the tenant's seals of this epoch. */
export async function admit(rootKey: string, { id }: NamedTenant, home: Home, epoch = 1): Promise<void> {
  const { ipad, opad } = parseRootKey(rootKey).deriveTenantKey(id as TenantId, 1)
  await home.admin.query(
    `insert into rowhouse.resident (tenant_id, epoch, key_version, ipad, opad, home) values ($1, $2, 1, $3, $4, $5)
     on conflict (tenant_id) do update set (epoch, home) = (excluded.epoch, excluded.home)`,
    [id, epoch, ipad, opad, home.placement.schema],
  )
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  // A server that a test stops takes this connection with it.
  client.on('error', () => {})
  await client.connect()
  return client
}
