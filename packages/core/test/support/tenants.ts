import pg from 'pg'
import { createRowhouse, type Rowhouse, type RowhouseOptions } from 'rowhouse'
import { createTenantAdmin } from 'rowhouse/install'
import { createTestDatabase, type TestDatabase } from './database.ts'

/** A database with two protected tables, two tenants whose ids collide, and an application on it. */
export interface Neighbours {
  readonly database: TestDatabase
  readonly rowhouse: Rowhouse
  /** Superuser: looks behind the walls. */
  readonly admin: pg.Client
  readonly a: { readonly id: string; readonly slug: string }
  readonly b: { readonly id: string; readonly slug: string }
  /** Opens another application on the same database. */
  open(options?: Partial<RowhouseOptions>): Promise<Rowhouse>
  close(): Promise<void>
}

/** `note` has unit scope; both tenants own rows 1 to 3 with the same ids, so that only the tenant tells them apart. */
const SCHEMA = `
  create table item (
    tenant_id uuid not null, id bigint not null, label text not null, primary key (tenant_id, id));
  create table note (
    tenant_id uuid not null, id bigint not null, unit_id uuid, body text not null, primary key (tenant_id, id));
  alter table item owner to rowhouse_owner;
  alter table note owner to rowhouse_owner;
  select rowhouse.protect('item'), rowhouse.protect('note', unit_scope => true);`

export const UNIT_1 = '00000000-0000-4000-8000-000000000001'
export const UNIT_2 = '00000000-0000-4000-8000-000000000002'

export async function createNeighbours(options: Partial<RowhouseOptions> = {}): Promise<Neighbours> {
  const database = await createTestDatabase()
  const admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  await admin.query(SCHEMA)
  const tenants = createTenantAdmin({ url: database.adminUrl, rootKey: database.rootKey })
  const a = await tenants.create({ slug: 'acme', name: 'Acme' })
  const b = await tenants.create({ slug: 'globex', name: 'Globex' })
  await tenants.close()
  for (const { id, slug } of [a, b]) {
    await admin.query(`insert into item (tenant_id, id, label) select $1, n, $2 || n from generate_series(1, 3) n`, [
      id,
      slug,
    ])
    await admin.query(
      `insert into note (tenant_id, id, unit_id, body) values ($1, 1, $3, $2 || '1'), ($1, 2, $4, $2 || '2'), ($1, 3, null, $2 || '3')`,
      [id, slug, UNIT_1, UNIT_2],
    )
  }
  const opened: Rowhouse[] = []
  const open = async (more: Partial<RowhouseOptions> = {}) => {
    const rowhouse = await createRowhouse({ url: database.appUrl, rootKey: database.rootKey, ...options, ...more })
    opened.push(rowhouse)
    return rowhouse
  }
  const close = async () => {
    await Promise.all(opened.map((rowhouse) => rowhouse.close()))
    await admin.end()
    await database.drop()
  }
  return { database, rowhouse: await open(), admin, a, b, open, close }
}

/** Returns the rows of a table that do not belong to `tenantId`, as text: what must never change from outside. */
export async function digestOfOthers(admin: pg.Client, table: string, tenantId: string): Promise<string> {
  const { rows } = await admin.query<{ digest: string }>(
    `select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) as digest from ${table} t where tenant_id <> $1`,
    [tenantId],
  )
  return rows[0]?.digest ?? ''
}
