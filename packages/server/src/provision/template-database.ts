import { createHash } from 'node:crypto'
import type pg from 'pg'
import { install, urlOfDatabase } from 'rowhouse/install'
import { migrateHome } from '../fleet/migrate-home.ts'
import type { Migration } from '../fleet/migration.ts'
import type { OperatorConnections } from '../registry/operator-connections.ts'

/** One builder of templates per server; who comes second finds it built. */
const TEMPLATE_LOCK = 7_262_374_403

/**
 * Makes sure that a server has a database to copy for tenants with one of their own: Rowhouse installed, every
 * migration applied, no tenant. Built under another name and renamed when it is complete, so that what exists is whole.
 *
 * @returns its name; another set of migrations has another one
 */
export async function ensureTemplate(
  connections: OperatorConnections,
  rootKeyText: string,
  server: string,
  migrations: readonly Migration[],
): Promise<string> {
  const prefix = `rowhouse_template_${await connections.platformId()}_`
  const shared = { server, database: undefined }
  return connections.use(shared, async (client) => {
    const name = `${prefix}${await fingerprintOf(client, migrations)}`
    if (await isReady(client, name)) return name
    await client.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK])
    try {
      if (await isReady(client, name)) return name
      await build(connections, rootKeyText, client, { server, name }, migrations)
      await dropOthers(client, prefix, name)
      return name
    } finally {
      await client.query('select pg_advisory_unlock($1)', [TEMPLATE_LOCK])
    }
  })
}

/**
 * Of the migrations, of Rowhouse's own, and of the shared database: a template of an older version is not used again, and two
 * shared databases of one server, whose locks do not meet, have a template each.
 */
async function fingerprintOf(client: pg.PoolClient, migrations: readonly Migration[]): Promise<string> {
  const { rows } = await client.query<{ own: string }>(
    `select current_database() || string_agg(sha256, '' order by version) as own from rowhouse.migration`,
  )
  const hash = createHash('sha256').update(rows[0]?.own ?? '')
  for (const { id, sha256 } of migrations) hash.update(`|${id}|${sha256}`)
  return hash.digest('hex').slice(0, 16)
}

async function isReady(client: pg.PoolClient, name: string): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_database where datname = $1 and datistemplate', [name])
  return rowCount === 1
}

async function build(
  connections: OperatorConnections,
  rootKeyText: string,
  client: pg.PoolClient,
  { server, name }: { server: string; name: string },
  migrations: readonly Migration[],
): Promise<void> {
  const building = `${name}_new`
  await client.query(`drop database if exists ${building} with (force)`)
  await client.query(`create database ${building} template template0`)
  const address = { server, database: building }
  await install({
    url: urlOfDatabase(await connections.urlOf({ server, database: undefined }), building),
    rootKey: rootKeyText,
  })
  await connections.use(address, (inside) => migrateHome(inside, { schema: undefined }, migrations))
  await connections.disconnect(address)
  await client.query(`alter database ${building} with allow_connections false is_template true`)
  await client.query(`alter database ${building} rename to ${name}`)
}

/** Older templates: nobody copies them any more. One that is being copied stays until the next time. */
async function dropOthers(client: pg.PoolClient, prefix: string, current: string): Promise<void> {
  const { rows } = await client.query<{ datname: string }>(
    'select datname from pg_database where datname ~ $1 and datname <> $2 and not datallowconn',
    [`^${prefix}[0-9a-f]{16}$`, current],
  )
  for (const { datname } of rows) {
    await client.query(`alter database ${datname} with is_template false`)
    await client.query(`drop database if exists ${datname}`).catch(() => {})
  }
}
