import type pg from 'pg'
import { createRowhouse, type Rowhouse, type RowhouseOptions } from 'rowhouse'
import { createTestDatabase, type TestDatabase } from './database.ts'
import {
  createDatabaseHome,
  createDistantHome,
  createSchemaHome,
  type Home,
  type NamedTenant,
  type OtherServer,
  openSharedHome,
  registerTenant,
  settle,
  startOtherServer,
} from './home.ts'

/**
 * Two tenants whose ids collide, each in its home, and an application on them.
 *
 * The rows of BOTH lie in each home, as after a restore or a move that was cut off: where the homes differ, every wall
 * has something to hold back all the same, and every positive control something to leak.
 */
export interface Neighbours {
  /** The central database. */
  readonly database: TestDatabase
  readonly rowhouse: Rowhouse
  /** Superuser of the central database: the registry, and what holds for the whole server. */
  readonly admin: pg.Client
  readonly a: NamedTenant
  readonly b: NamedTenant
  /** Homes of the two tenants: one when they share their tables. */
  readonly homes: readonly Home[]
  homeOf(tenant: NamedTenant): Home
  /** Runs a statement as superuser in each home and returns all rows. */
  inHomes<R extends pg.QueryResultRow = pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]>
  /** Returns the rows of a table that do not belong to `tenantId`, as text: what must never change from outside. */
  digestOfOthers(table: string, tenantId: string): Promise<string>
  /** Opens another application on the same database. */
  open(options?: Partial<RowhouseOptions>): Promise<Rowhouse>
  close(): Promise<void>
}

/**
 * How a test project places the two tenants:
 *
 * - `pooled`: in the shared tables.
 * - `schema`: each in a schema of its own, in one database.
 * - `database`: each in a database of its own, on one server.
 * - `hybrid`: one in the shared tables, one in a schema of the same database.
 * - `split`: one in the shared tables, one in a database of its own on a second server, of another major.
 */
const MODELS = ['pooled', 'schema', 'database', 'hybrid', 'split'] as const
export type TestModel = (typeof MODELS)[number]

/** `note` has unit scope; both tenants own rows 1 to 3 with the same ids, so that only the tenant tells them apart. */
export const SCHEMA = `
  create table item (
    tenant_id uuid not null, id bigint not null, label text not null, primary key (tenant_id, id));
  create table note (
    tenant_id uuid not null, id bigint not null, unit_id uuid, body text not null, primary key (tenant_id, id));
  alter table item owner to rowhouse_owner;
  alter table note owner to rowhouse_owner;
  select rowhouse.protect('item'), rowhouse.protect('note', unit_scope => true);`

export const UNIT_1 = '00000000-0000-4000-8000-000000000001'
export const UNIT_2 = '00000000-0000-4000-8000-000000000002'

/** The model of the running test project, from ROWHOUSE_TEST_MODEL. */
export function testModel(): TestModel {
  const name = process.env.ROWHOUSE_TEST_MODEL ?? 'pooled'
  const model = MODELS.find((each) => each === name)
  if (model !== undefined) return model
  throw new RangeError(`Cannot place tenants by ROWHOUSE_TEST_MODEL "${name}": wanted ${MODELS.join(', ')}`)
}

export async function createNeighbours(options: Partial<RowhouseOptions> = {}): Promise<Neighbours> {
  const database = await createTestDatabase()
  const shared = await openSharedHome(database)
  // The shared tables are there whether somebody lives in them or not, as on every server of the platform.
  await shared.admin.query(SCHEMA)
  const a = await registerTenant(shared.admin, 'acme')
  const b = await registerTenant(shared.admin, 'globex')
  const { ofA, ofB, servers } = await makeHomes(database, shared, a, b)
  const homes = [...new Set([ofA, ofB])]
  for (const home of homes) {
    if (home !== shared) await home.admin.query(SCHEMA)
    for (const tenant of [a, b]) await seed(home, tenant)
  }
  await settle(shared.admin, database.rootKey, a, ofA)
  await settle(shared.admin, database.rootKey, b, ofB)
  const inHomes: Neighbours['inHomes'] = async (text, values) => {
    const results = []
    for (const { admin } of homes) results.push(await admin.query(text, values as unknown[]))
    return results.flatMap((result) => result.rows)
  }
  const opened: Rowhouse[] = []
  const open = async (more: Partial<RowhouseOptions> = {}) => {
    const rowhouse = await createRowhouse({ url: database.appUrl, rootKey: database.rootKey, ...options, ...more })
    opened.push(rowhouse)
    return rowhouse
  }
  const close = async () => {
    await Promise.all(opened.map((rowhouse) => rowhouse.close()))
    for (const home of homes) if (home !== shared) await home.close()
    await shared.close()
    await database.drop()
    for (const server of servers) await server.stop()
  }
  return {
    database,
    rowhouse: await open(),
    admin: shared.admin,
    a,
    b,
    homes,
    homeOf: ({ id }) => (id === a.id ? ofA : ofB),
    inHomes,
    digestOfOthers: async (table, tenantId) => {
      const rows = await inHomes<{ digest: string }>(
        `select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) as digest from ${table} t where tenant_id <> $1`,
        [tenantId],
      )
      return rows.map(({ digest }) => digest).join()
    },
    open,
    close,
  }
}

interface Homes {
  readonly ofA: Home
  readonly ofB: Home
  readonly servers: readonly OtherServer[]
}

async function makeHomes(central: TestDatabase, shared: Home, a: NamedTenant, b: NamedTenant): Promise<Homes> {
  switch (testModel()) {
    case 'pooled':
      return { ofA: shared, ofB: shared, servers: [] }
    case 'schema':
      return { ofA: await createSchemaHome(central, a), ofB: await createSchemaHome(central, b), servers: [] }
    case 'database':
      return { ofA: await createDatabaseHome(), ofB: await createDatabaseHome(), servers: [] }
    case 'hybrid':
      return { ofA: shared, ofB: await createSchemaHome(central, b), servers: [] }
    case 'split': {
      const server = await startOtherServer(central, 'distant', 15)
      return { ofA: shared, ofB: await createDistantHome(central, server, b), servers: [server] }
    }
  }
}

async function seed({ admin }: Home, { id, slug }: NamedTenant): Promise<void> {
  await admin.query(`insert into item (tenant_id, id, label) select $1, n, $2 || n from generate_series(1, 3) n`, [
    id,
    slug,
  ])
  await admin.query(
    `insert into note (tenant_id, id, unit_id, body) values ($1, 1, $3, $2 || '1'), ($1, 2, $4, $2 || '2'), ($1, 3, null, $2 || '3')`,
    [id, slug, UNIT_1, UNIT_2],
  )
}
