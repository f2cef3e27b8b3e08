import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { parseRootKey } from 'rowhouse/install'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { OperatorConnections } from '../../src/registry/operator-connections.ts'

export interface TestTenant {
  readonly id: string
  readonly slug: string
  readonly server: string
  readonly database: string | undefined
  readonly schema: string | undefined
}

export interface TenantOptions {
  readonly model?: 'pooled' | 'schema' | 'database'
  readonly ring?: string
  readonly server?: string
}

/** Two servers with tenants in three models, made by plain SQL. Both are databases of one PostgreSQL. */
export interface TestFleet {
  readonly central: TestDatabase
  /** Superuser in the central database, which is the shared database of server `main`. */
  readonly admin: pg.Client
  /** Superuser in the shared database of server `second`. */
  readonly second: pg.Client
  readonly connections: OperatorConnections
  readonly homes: readonly TestTenant[]
  add(slug: string, options?: TenantOptions): Promise<TestTenant>
  /** Runs a query in the home of a tenant, with its search path. */
  ask(tenant: TestTenant, text: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

export async function createFleet(): Promise<TestFleet> {
  const [central, other] = [await createTestDatabase(), await createTestDatabase()]
  const databases = [central, other]
  const [admin, second] = [await open(central.adminUrl), await open(other.adminUrl)]
  const variable = `FLEET_${randomBytes(4).toString('hex').toUpperCase()}`
  process.env[variable] = other.adminUrl
  await admin.query(
    `insert into rowhouse.server (name, region, app_url, admin_url) values ('second', 'remote', $1, $1)`,
    [`env:${variable}`],
  )
  const homes: TestTenant[] = []
  const add = async (slug: string, { model = 'schema', ring = 'general', server = 'main' }: TenantOptions = {}) => {
    const id = randomUUID()
    const schema = model === 'schema' ? `t_${slug.replaceAll('-', '_')}_${id.slice(-12)}` : undefined
    const own = model === 'database' ? await createTestDatabase() : undefined
    if (own !== undefined) databases.push(own)
    const shared = server === 'main' ? admin : second
    if (schema !== undefined) await shared.query(`create schema ${schema} authorization rowhouse_owner`)
    const there = own === undefined ? shared : await open(own.adminUrl)
    const { ipad, opad } = parseRootKey(central.rootKey).deriveTenantKey(id as never, 1)
    await there.query(
      'insert into rowhouse.resident (tenant_id, key_version, ipad, opad, home) values ($1, 1, $2, $3, $4)',
      [id, ipad, opad, schema ?? null],
    )
    if (own !== undefined) await there.end()
    await admin.query(
      `with made as (insert into rowhouse.tenant (id, slug, name, ring) values ($1, $2, $2, $3) returning id)
       insert into rowhouse.placement (tenant_id, server, model, database_name, schema_name, key_version)
       select id, $4, $5, $6, $7, 1 from made`,
      [id, slug, ring, server, model, own?.name ?? null, schema ?? null],
    )
    const tenant = { id, slug, server, database: own?.name, schema }
    if (model !== 'pooled') homes.push(tenant)
    return tenant
  }
  const connections = new OperatorConnections(central.adminUrl)
  const ask = (tenant: TestTenant, text: string) =>
    connections.use(tenant, async (client) => {
      await client.query(`begin; set local search_path = ${tenant.schema ?? 'public'}`)
      const { rows } = await client.query(text)
      await client.query('rollback')
      return rows as Record<string, unknown>[]
    })
  const close = async () => {
    await connections.close()
    await Promise.all([admin.end(), second.end()])
    await Promise.all(databases.map((database) => database.drop()))
    delete process.env[variable]
  }
  return { central, admin, second, connections, homes, add, ask, close }
}

export async function open(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  return client
}
