import type pg from 'pg'
import type { RootKey } from 'rowhouse/install'
import { equipSharedHome } from '../fleet/equip-shared-home.ts'
import { migrateHome } from '../fleet/migrate-home.ts'
import type { Migration } from '../fleet/migration.ts'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import type { ChosenHome } from './register.ts'
import { ensureTemplate } from './template-database.ts'

/** What making a namespace takes, besides the tenant. */
export interface Workshop {
  readonly connections: OperatorConnections
  readonly rootKey: RootKey
  /** The same as text, for databases Rowhouse is installed in. */
  readonly rootKeyText: string
  readonly migrations: readonly Migration[]
}

const INVALID_DATABASE = -2

/** Tells whether the tenant's namespace is there and whole. */
export async function hasNamespace({ connections }: Workshop, home: ChosenHome): Promise<boolean> {
  if (home.model === 'pooled') return true
  const text =
    home.model === 'schema'
      ? 'select from pg_namespace where nspname = $1'
      : `select from pg_database where datname = $1 and datconnlimit <> ${INVALID_DATABASE} and datacl is not null`
  const name = home.schema ?? home.database
  return connections.use(
    { ...home, database: undefined },
    async (client) => (await client.query(text, [name])).rowCount === 1,
  )
}

/** Makes the tenant's schema, or a copy of the template database that PUBLIC may not enter. */
export async function makeNamespace(workshop: Workshop, home: ChosenHome): Promise<void> {
  const shared = { server: home.server, database: undefined }
  const { connections } = workshop
  if (home.model === 'schema') {
    await connections.transact(shared, async (client) => {
      await client.query(`create schema if not exists ${home.schema} authorization rowhouse_owner`)
    })
  }
  if (home.model !== 'database') return
  const platform = await connections.platformId()
  const template = await ensureTemplate(connections, workshop.rootKeyText, home.server, workshop.migrations)
  await connections.use(shared, async (client) => {
    // Left by a run that was killed: PostgreSQL marks it invalid, or its rights are missing.
    await client.query(`drop database if exists ${home.database} with (force)`)
    await client.query(`create database ${home.database} template ${template}`)
    // CREATE DATABASE copies no rights: PUBLIC may connect and make temporary tables until it is said otherwise.
    await client.query(
      `revoke all on database ${home.database} from public;
       comment on database ${home.database} is 'rowhouse ${platform}';
       grant connect on database ${home.database} to rowhouse_app, rowhouse_migrator; grant create on database ${home.database} to rowhouse_owner`,
    )
  })
}

/** Admits the tenant's key in the database it lives in. */
export async function settle({ connections, rootKey }: Workshop, home: ChosenHome): Promise<void> {
  const { ipad, opad } = rootKey.deriveTenantKey(home.tenantId, 1)
  await connections.transact(home, async (client) => {
    await client.query(
      'insert into rowhouse.resident (tenant_id, key_version, ipad, opad, home) values ($1, 1, $2, $3, $4) on conflict (tenant_id) do nothing',
      [home.tenantId, ipad, opad, home.schema ?? null],
    )
  })
}

/** Brings the tenant's tables to the newest version; those of a copied database are, and are looked at all the same. */
export async function bringUpToDate({ connections, migrations }: Workshop, home: ChosenHome): Promise<void> {
  // The first tenant of a server makes the tables all others share, reference tables among them; later they change in waves.
  if (home.model !== 'database') await equipSharedHome(connections, migrations, home.server)
  if (home.model === 'pooled') return
  await connections.use(home, (client) => migrateHome(client, { schema: home.schema }, migrations))
}

/** Takes back what was made. The name carries the tenant's id: nobody else's is hit. */
export async function removeNamespace({ connections }: Workshop, home: ChosenHome): Promise<void> {
  if (home.model === 'database') {
    await connections.disconnect(home)
    await connections.use({ server: home.server, database: undefined }, (client) =>
      client.query(`drop database if exists ${home.database} with (force)`),
    )
    return
  }
  await connections.transact({ server: home.server, database: undefined }, async (client: pg.PoolClient) => {
    if (home.schema !== undefined) await client.query(`drop schema if exists ${home.schema} cascade`)
    await client.query('delete from rowhouse.resident where tenant_id = $1', [home.tenantId])
  })
}
