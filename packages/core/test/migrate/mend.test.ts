import pg from 'pg'
import { protect } from 'rowhouse/install'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, serverMajor, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let admin: pg.Client
beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
})
beforeEach(async () => {
  await admin.query(`drop schema if exists shop cascade; create schema shop; set search_path = shop`)
})
afterAll(async () => {
  await admin.end()
  await database.drop()
})

const KEY = 'tenant_id uuid not null, id int not null, primary key (tenant_id, id)'

interface Finding {
  readonly kind: string
  readonly code: string
  readonly statement: string | null
}

async function findings(table: string, kind: 'fault' | 'warning' | 'change'): Promise<Finding[]> {
  const text = 'select kind, code, statement from rowhouse.plan_protect($1::regclass) where kind = $2 order by step'
  return (await admin.query<Finding>(text, [`shop.${table}`, kind])).rows
}

const codes = async (table: string, kind: 'fault' | 'warning' | 'change') =>
  (await findings(table, kind)).map(({ code }) => code)

describe('the mending SQL, run as it stands and in order', () => {
  it('turns a single-tenant schema with a tenant column into tenant tables, and loses no constraint', async () => {
    await admin.query(`
      create table customer (tenant_id uuid not null, id serial primary key, mail text unique nulls not distinct,
        code text, nick text, constraint customer_code unique (code) include (nick) deferrable);
      create table booking (tenant_id uuid not null, id int primary key, parent_id int references booking on delete set null,
        customer_id int not null references customer on delete cascade deferrable initially deferred);
      create unique index booking_lower on booking (lower(id::text)) where customer_id > 0;
      insert into customer (tenant_id, mail) values (gen_random_uuid(), 'a'), (gen_random_uuid(), 'b');`)
    const tables = ['customer', 'booking']
    const found = (await Promise.all(tables.map((table) => findings(table, 'fault')))).flat()
    expect(found.map(({ code }) => code).sort()).toEqual([
      'foreign-key-not-by-tenant',
      'foreign-key-not-by-tenant',
      'key-not-by-tenant',
      'key-not-by-tenant',
      'key-not-by-tenant',
      'key-not-by-tenant',
      'key-not-by-tenant',
      'shared-sequence',
    ])
    for (const { statement } of found) await admin.query(statement ?? 'no SQL')
    await protect({ url: database.adminUrl, tables: tables.map((table) => ({ name: `shop.${table}` })) })
    const { rows } = await admin.query<{ definition: string }>(
      `select pg_get_constraintdef(oid) as definition from pg_constraint
        where conrelid in ('customer'::regclass, 'booking'::regclass) and contype in ('p', 'u', 'f') order by conname`,
    )
    expect(rows.map(({ definition }) => definition)).toEqual([
      'FOREIGN KEY (tenant_id, customer_id) REFERENCES customer(tenant_id, id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED',
      'FOREIGN KEY (tenant_id, parent_id) REFERENCES booking(tenant_id, id) ON DELETE SET NULL (parent_id)',
      'PRIMARY KEY (tenant_id, id)',
      'UNIQUE (tenant_id, code) INCLUDE (nick) DEFERRABLE',
      'UNIQUE NULLS NOT DISTINCT (tenant_id, mail)',
      'PRIMARY KEY (tenant_id, id)',
    ])
    const index = await admin.query(`select pg_get_indexdef('booking_lower'::regclass) as definition`)
    expect(index.rows[0].definition).toContain('(tenant_id, lower((id)::text)) WHERE (customer_id > 0)')
    const next = await admin.query(`insert into customer (tenant_id) values (gen_random_uuid()) returning id`)
    expect(next.rows).toEqual([{ id: 3 }])
  })

  it('moves tenant_id to the front of a key that has it further back', async () => {
    await admin.query('create table t (tenant_id uuid not null, id int, primary key (id, tenant_id))')
    const [fault] = await findings('t', 'fault')
    await admin.query(fault?.statement ?? 'no SQL')
    expect(await findings('t', 'fault')).toEqual([])
  })

  it('keeps the contents of large objects', async () => {
    await admin.query(`create table t (${KEY}, doc oid)`)
    await admin.query(`insert into t values (gen_random_uuid(), 1, lo_from_bytea(0, 'contents'))`)
    const [fault] = await findings('t', 'fault')
    await admin.query(fault?.statement ?? 'no SQL')
    expect((await admin.query(`select convert_from(doc, 'UTF8') as doc from t`)).rows).toEqual([{ doc: 'contents' }])
  })

  it('is missing where a table that refers to the key has no tenant_id', async () => {
    await admin.query(
      'create table t (tenant_id uuid not null, id int primary key); create table c (t_id int references t)',
    )
    expect(await findings('t', 'fault')).toMatchObject([{ code: 'key-not-by-tenant', statement: null }])
  })
})

describe('plan_protect() finds', () => {
  it.each([
    [
      'tenant-id-generated',
      `create table t (raw text, tenant_id uuid generated always as (raw::uuid) stored not null, id int, primary key (tenant_id, id))`,
    ],
    [
      'view-around-policies',
      `create table t (${KEY}); create view v as select * from t; grant select on v to rowhouse_app`,
    ],
    [
      'view-around-policies',
      `create table t (${KEY}); create materialized view v as select * from t; grant select (id) on v to public`,
    ],
    [
      'view-around-policies',
      `create table t (${KEY}); create view v as select * from t; create view w as select * from v; grant select on w to rowhouse_app`,
    ],
    ...['insert', 'update (id)', 'delete'].map((privilege) => [
      'view-around-policies',
      `create table t (${KEY}); create view v as select * from t; grant ${privilege} on v to rowhouse_app`,
    ]),
    [
      'view-around-policies',
      `create table t (${KEY}); create view v with (security_invoker = true) as select * from t;
       create materialized view m as select * from v; grant select on m to rowhouse_app`,
    ],
    [
      'view-around-policies',
      `create table t (${KEY}); create materialized view m as select * from t;
       create view w as select * from m; grant select on w to rowhouse_app`,
    ],
    [
      'parent-open',
      `create table p (${KEY}); create table t () inherits (p); alter table t add primary key (tenant_id, id); grant select on p to rowhouse_app`,
    ],
    [
      'foreign-key-not-valid',
      `create table p (${KEY}); create table t (${KEY}); alter table t add foreign key (tenant_id, id) references p not valid`,
    ],
    ['shared-sequence', `create sequence s; create table t (${KEY}, n bigint not null default nextval('s'))`],
  ])('%s', async (code, create) => {
    await admin.query(create)
    const found = await findings('t', 'fault')
    expect(found.map((fault) => fault.code)).toEqual([code])
    if (found[0]?.statement) await admin.query(found[0].statement)
    expect(await codes('t', 'fault')).toEqual([])
  })

  it.runIf(serverMajor() >= 18)(
    'what PostgreSQL 18 can only promise: NOT ENFORCED, NOT NULL NOT VALID (only from 18 on)',
    async () => {
      await admin.query(`create table p (${KEY}); create table t (tenant_id uuid, id int, unique (tenant_id, id));
      alter table t add constraint nn not null tenant_id not valid;
      alter table t add primary key (id); alter table t drop constraint t_pkey;
      alter table t add foreign key (tenant_id, id) references p not enforced`)
      const found = await findings('t', 'fault')
      expect(found.map(({ code }) => code)).toEqual(['tenant-id-nullable', 'no-primary-key', 'foreign-key-not-valid'])
      for (const { statement } of found) await admin.query(statement ?? 'no SQL')
      expect(await codes('t', 'fault')).toEqual([])
    },
  )

  it.each([
    ['select from', 'select count(*)::int as rows from w', 'select'],
    [
      'delete through',
      'with gone as (delete from w returning 1) select count(*)::int as rows from gone',
      'select, delete',
    ],
    [
      'update through',
      'with seen as (update w set id = id returning 1) select count(*)::int as rows from seen',
      'select, update',
    ],
  ])('the way around the policies that a view over a view opens: %s it', async (_, attack, privileges) => {
    await admin.query(`create table t (${KEY}); insert into t values (gen_random_uuid(), 1), (gen_random_uuid(), 2)`)
    await protect({ url: database.adminUrl, tables: [{ name: 'shop.t' }] })
    await admin.query(
      `create view v as select * from t; create view w as select * from v; grant ${privileges} on w to rowhouse_app`,
    )
    const asApp = async () => {
      await admin.query('begin; set local role rowhouse_app')
      return admin.query(attack).finally(() => admin.query('rollback'))
    }
    expect((await asApp()).rows).toEqual([{ rows: 2 }])
    await expect(admin.query(`select rowhouse.protect('t')`)).rejects.toMatchObject({ code: '55000' })
    const [fault] = await findings('t', 'fault')
    expect(fault?.statement).toBe('alter view shop.v set (security_invoker = true);')
    await admin.query(fault?.statement ?? 'no SQL')
    await expect(asApp()).rejects.toMatchObject({ code: '42501' })
  })

  it('nothing in a view over one that reads with the rights of whoever asks: that one still does', async () => {
    await admin.query(`create table t (${KEY}); insert into t values (gen_random_uuid(), 1)`)
    await protect({ url: database.adminUrl, tables: [{ name: 'shop.t' }] })
    await admin.query(`create view v with (security_invoker = true) as select * from t; grant select on v to rowhouse_app;
      create view w as select * from v; grant select on w to rowhouse_app`)
    expect(await codes('t', 'fault')).toEqual([])
    await admin.query('begin; set local role rowhouse_app')
    await expect(admin.query('select * from w')).rejects.toMatchObject({
      code: '42501',
      message: 'rowhouse: no tenant context',
    })
    await admin.query('rollback')
  })

  it('leaves a view alone that reads with the rights of whoever asks', async () => {
    await admin.query(
      `create table t (${KEY}); create view v with (security_invoker = true) as select * from t; grant select on v to rowhouse_app`,
    )
    expect(await codes('t', 'fault')).toEqual([])
  })

  it('keys of partitions at their parent only', async () => {
    await admin.query(`create table t (tenant_id uuid not null, id int primary key) partition by hash (id);
      create table t0 partition of t for values with (modulus 1, remainder 0)`)
    expect(await codes('t', 'fault')).toEqual(['key-not-by-tenant'])
  })

  it('warnings: indexes, foreign keys to tables nobody may read, deletes that would clear the tenant', async () => {
    await admin.query(`create table central (id int primary key); create table p (${KEY});
      create table t (${KEY}, central_id int references central, p_id int, words tsvector,
        foreign key (tenant_id, p_id) references p on delete set null);
      create index on t (p_id); create index on t using gin (words)`)
    const found = await findings('t', 'warning')
    expect(found.map(({ code }) => code).sort()).toEqual([
      'foreign-key-clears-tenant',
      'foreign-key-to-central',
      'foreign-key-without-index',
      'foreign-key-without-index',
      'index-not-by-tenant',
      'index-not-by-tenant',
    ])
    const btree = found.find(({ statement }) => statement?.includes('btree (tenant_id, p_id)'))
    expect(btree?.statement).toMatch(/^CREATE INDEX CONCURRENTLY ON shop.t USING btree \(tenant_id, p_id\); drop index/)
    const clears = found.find(({ code }) => code === 'foreign-key-clears-tenant')
    await admin.query(clears?.statement ?? 'no SQL')
    await admin.query(`select rowhouse.publish_reference('central')`)
    expect((await codes('t', 'warning')).filter((code) => /central|clears/.test(code))).toEqual([])
  })
})

describe('protect()', () => {
  it('opens the schema to those who need it and takes CREATE from the others', async () => {
    await admin.query(`create table t (${KEY}, label text); grant usage, create on schema shop to public`)
    await protect({ url: database.adminUrl, tables: [{ name: 'shop.t' }] })
    const { rows } = await admin.query(`select has_schema_privilege('rowhouse_app', 'shop', 'usage') as passes,
      has_schema_privilege('rowhouse_app', 'shop', 'create') as makes, has_schema_privilege('rowhouse_owner', 'shop', 'create') as owns`)
    expect(rows).toEqual([{ passes: true, makes: false, owns: true }])
  })

  it('works on tables whose columns nobody may update', async () => {
    await admin.query(
      'create table t (tenant_id uuid not null, id int generated always as identity, primary key (tenant_id, id))',
    )
    await protect({ url: database.adminUrl, tables: [{ name: 'shop.t' }] })
    expect(await findings('t', 'change')).toEqual([])
  })

  it.each([
    'grant update (tenant_id) on t to public',
    'grant select on t to rowhouse_app with grant option',
    'grant update (label) on t to rowhouse_app with grant option',
    'grant references (id) on t to rowhouse_app',
    'grant usage on sequence t_n_seq to rowhouse_app',
    'grant create on schema shop to rowhouse_app',
  ])('sees and undoes: %s', async (grant) => {
    await admin.query(`create table t (${KEY}, label text, n int generated by default as identity)`)
    await protect({ url: database.adminUrl, tables: [{ name: 'shop.t' }] })
    await admin.query(grant)
    expect((await findings('t', 'change')).length).toBe(1)
    await protect({ url: database.adminUrl, tables: [{ name: 'shop.t' }] })
    expect(await findings('t', 'change')).toEqual([])
  })

  it('can be called from a migration by rowhouse_migrator, and names every fault there as well', async () => {
    await admin.query(`create table t (${KEY}); create table f (id int); alter table t owner to rowhouse_owner; alter table f owner to rowhouse_owner;
      grant usage, create on schema shop to rowhouse_owner; grant usage on schema shop to rowhouse_migrator, rowhouse_app`)
    await admin.query('begin; set local role rowhouse_migrator')
    await admin.query(`set local role rowhouse_owner; select rowhouse.protect('t')`)
    await admin.query('commit')
    expect(await findings('t', 'change')).toEqual([])
    await expect(admin.query(`select rowhouse.protect('f')`)).rejects.toMatchObject({
      code: '55000',
      constraint: 'rowhouse_unprotectable',
      message: expect.stringContaining('no-tenant-id: shop.f has no column tenant_id'),
    })
  })

  it.each(['rowhouse.resident', 'rowhouse.tenant', 'pg_catalog.pg_class'])(
    'refuses %s, which is none of the application',
    async (name) => {
      await expect(protect({ url: database.adminUrl, tables: [{ name }] })).rejects.toMatchObject({
        code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE',
        message: expect.stringContaining('no table of the application'),
      })
      await expect(protect({ url: database.adminUrl, tables: [], references: [name] })).rejects.toMatchObject({
        code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE',
        message: expect.stringContaining('no table of the application'),
      })
    },
  )

  it.each(['nothing', 'nowhere.t', '', 'a b; drop', '999999'])('says that there is no table "%s"', async (name) => {
    await expect(protect({ url: database.adminUrl, tables: [{ name }] })).rejects.toMatchObject({
      code: 'ERR_STATEMENT_FAILED',
      message: expect.stringContaining('check its name and schema'),
    })
  })

  it('publishes no view', async () => {
    await admin.query('create view v as select 1 as one')
    await expect(protect({ url: database.adminUrl, tables: [], references: ['shop.v'] })).rejects.toMatchObject({
      code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE',
      message: expect.stringContaining('is not a table'),
    })
  })
})
