import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'

/** Three protected tables that refer to each other, one with units, and a reference table. */
const SMALL_SCHEMA = `
  create table country (code text primary key);
  create table item (tenant_id uuid not null, id bigint not null, label text not null, country text references country, primary key (tenant_id, id));
  create table note (tenant_id uuid not null, id uuid not null, unit_id uuid, item_id bigint not null, body text, primary key (tenant_id, id),
    foreign key (tenant_id, item_id) references item);
  create index on note (tenant_id, item_id);
  create index on item (country);
  create table setting (tenant_id uuid primary key, theme text);
  create view item_view with (security_invoker = true) as select * from item;
  create sequence counter;
  alter table country owner to rowhouse_owner; alter table item owner to rowhouse_owner;
  alter table note owner to rowhouse_owner; alter table setting owner to rowhouse_owner;
  select rowhouse.protect('item'), rowhouse.protect('note', unit_scope => true), rowhouse.protect('setting');
  select rowhouse.publish_reference('country');
  insert into country values ('DE');
  grant select on item_view to rowhouse_app;`

/** A database with the small schema. @param change  SQL of the superuser, run after it */
export async function createSmallDatabase(change = ''): Promise<TestDatabase> {
  const database = await createTestDatabase()
  await asAdmin(database, (admin) => admin.query(SMALL_SCHEMA + change))
  return database
}

export async function asAdmin<T>(database: TestDatabase, fn: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  try {
    return await fn(admin)
  } finally {
    await admin.end()
  }
}

/** A superuser of one test file's own: what it makes on the server is told from what other files make there. */
export interface Operator {
  url(database: TestDatabase): string
  /** Names of the scratch databases it has made. */
  listScratch(): Promise<string[]>
  drop(): Promise<void>
}

export async function createOperator(home: TestDatabase): Promise<Operator> {
  const name = `test_operator_${randomBytes(4).toString('hex')}`
  await asAdmin(home, (admin) => admin.query(`create role ${name} superuser login password 'operator'`))
  return {
    url: ({ adminUrl }) => {
      const url = new URL(adminUrl)
      url.username = name
      url.password = 'operator'
      return url.href
    },
    listScratch: () =>
      asAdmin(home, async (admin) => {
        const { rows } = await admin.query<{ datname: string }>(
          `select datname from pg_database where datname like 'rowhouse\\_scratch\\_%' and datdba = '${name}'::regrole order by 1`,
        )
        return rows.map(({ datname }) => datname)
      }),
    drop: async () => {
      await asAdmin(home, (admin) => admin.query(`drop role ${name}`))
    },
  }
}
