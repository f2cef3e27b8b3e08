import pg from 'pg'
import { createTenantAdmin, install } from 'rowhouse/install'
import { startPostgres } from 'rowhouse-embedded'

export const TENANTS = 50
export const ROWS = 500_000

export interface BenchDatabase {
  readonly adminUrl: string
  readonly appUrl: string
  /** Returns the same two logins on another database of the server. */
  urlsFor(database: string): { readonly adminUrl: string; readonly appUrl: string }
  readonly rootKey: string
  readonly tenants: readonly { readonly id: string; readonly slug: string }[]
  readonly admin: pg.Client
  readonly server: string
  stop(): Promise<void>
}

const ROOT_KEY = '5e'.repeat(32)
const PASSWORD = 'bench'

/** Starts a server of its own: durable settings are off, because commits to this disk are not what is measured. */
export async function openBenchDatabase(): Promise<BenchDatabase> {
  const settings = {
    fsync: 'off',
    synchronous_commit: 'off',
    shared_buffers: '512MB',
    max_connections: '200',
    max_wal_size: '4GB',
  }
  const postgres = await startPostgres({ settings })
  const bootstrap = new pg.Client({ connectionString: postgres.url })
  await bootstrap.connect()
  await bootstrap.query('create database bench')
  await bootstrap.end()
  const urlsFor = (database: string) => ({
    adminUrl: postgres.urlFor(database),
    appUrl: postgres.urlFor(database, { user: 'rowhouse_app', password: PASSWORD }),
  })
  const { adminUrl, appUrl } = urlsFor('bench')
  await install({ url: adminUrl, rootKey: ROOT_KEY, appPassword: PASSWORD })
  const admin = new pg.Client({ connectionString: adminUrl })
  await admin.connect()
  const tenants = await createTenants(adminUrl)
  return {
    adminUrl,
    appUrl,
    urlsFor,
    rootKey: ROOT_KEY,
    tenants,
    admin,
    server: postgres.serverVersion,
    stop: async () => {
      await admin.end()
      await postgres.stop()
    },
  }
}

async function createTenants(adminUrl: string) {
  const registry = createTenantAdmin({ url: adminUrl, rootKey: ROOT_KEY })
  const tenants: { id: string; slug: string }[] = []
  for (let i = 0; i < TENANTS; i++) {
    const { id, slug } = await registry.create({ slug: `tenant-${i}`, name: `Tenant ${i}` })
    tenants.push({ id, slug })
  }
  await registry.close()
  return tenants
}

/**
 * Fills four tables of the same shape with the same rows: `sealed` (protected), `plain` (no policy, for SQL written by
 * hand), `usual` and `peer` (one policy on a plain setting, as guides and the peer write it).
 * Row ids are 1 to ROWS / TENANTS in every tenant.
 */
export async function fillTables({ admin, tenants }: BenchDatabase): Promise<void> {
  const ids = tenants.map((tenant) => tenant.id)
  for (const table of ['plain', 'sealed', 'usual', 'peer']) {
    await admin.query(`create table ${table} (
      tenant_id uuid not null, id bigint not null, status text not null, amount int not null, note text not null,
      primary key (tenant_id, id))`)
    await admin.query(
      `insert into ${table} select t.id, n, 'booked', n % 100, repeat('x', 40)
         from unnest($1::uuid[]) t (id), generate_series(1, $2::int) n`,
      [ids, ROWS / TENANTS],
    )
    await admin.query(`grant select, insert, delete on ${table} to rowhouse_app`)
  }
  await admin.query(`alter table sealed owner to rowhouse_owner; select rowhouse.protect('sealed')`)
  for (const [table, setting] of [
    ['usual', 'app.tenant'],
    ['peer', 'app.current_tenant'],
  ]) {
    await admin.query(`alter table ${table} enable row level security; alter table ${table} force row level security;
      create policy p on ${table} using (tenant_id = (select current_setting('${setting}')::uuid))`)
  }
  await admin.query('vacuum analyze')
}
