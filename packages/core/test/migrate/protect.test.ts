import pg from 'pg'
import { protect } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let admin: pg.Client
beforeAll(async () => {
  database = await createTestDatabase()
  admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
})
afterAll(async () => {
  await admin.end()
  await database.drop()
})

const plan = async (name: string, unitScope = false) =>
  (await protect({ url: database.adminUrl, tables: [{ name, unitScope }], dryRun: true }))[0]

/** Each table breaks one rule; the mending SQL, run as it stands, has to end the fault. */
const FAULTS: [code: string, create: string, mends: boolean][] = [
  ['no-tenant-id', 'create table f (id int primary key)', false],
  ['tenant-id-type', 'create table f (tenant_id text not null, id int, primary key (tenant_id, id))', true],
  ['tenant-id-nullable', 'create table f (tenant_id uuid, id int primary key)', true],
  ['no-primary-key', 'create table f (tenant_id uuid not null, id int)', false],
  ['key-not-by-tenant', 'create table f (tenant_id uuid not null, id int primary key)', true],
  [
    'key-not-by-tenant',
    'create table f (tenant_id uuid not null, id int, mail text unique, primary key (tenant_id, id))',
    true,
  ],
  [
    'key-not-by-tenant',
    'create table f (tenant_id uuid not null, id int, r int4range, primary key (tenant_id, id), exclude using gist (r with &&))',
    false,
  ],
  [
    'foreign-key-not-by-tenant',
    'create table p (tenant_id uuid not null, id int, primary key (tenant_id, id), unique (id)); create table f (tenant_id uuid not null, id int, p_id int references p (id), primary key (tenant_id, id))',
    true,
  ],
  [
    'foreign-policy',
    'create table f (tenant_id uuid not null, id int, primary key (tenant_id, id)); create policy mine on f using (true)',
    true,
  ],
  [
    'rule',
    'create table f (tenant_id uuid not null, id int, primary key (tenant_id, id)); create rule r as on delete to f do instead nothing',
    true,
  ],
  ['large-object', 'create table f (tenant_id uuid not null, id int, doc oid, primary key (tenant_id, id))', true],
  ['not-logged', 'create unlogged table f (tenant_id uuid not null, id int, primary key (tenant_id, id))', true],
  ['not-a-table', 'create view f as select 1 as tenant_id', false],
  ['not-a-table', 'create materialized view f as select 1 as tenant_id', false],
]

describe('protect() names what stands in the way', () => {
  it.each(FAULTS)('%s: %s', async (code, create, mends) => {
    await admin.query(create)
    try {
      const found = (await plan('f'))?.faults.filter((fault) => fault.code === code)
      expect(found?.length).toBeGreaterThan(0)
      await expect(protect({ url: database.adminUrl, tables: [{ name: 'f' }] })).rejects.toMatchObject({
        code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE',
        faults: expect.arrayContaining([expect.objectContaining({ code })]),
      })
      if (!mends) return
      for (const fault of found ?? []) await admin.query(fault.mend ?? '')
      expect((await plan('f'))?.faults.filter((fault) => fault.code === code)).toEqual([])
    } finally {
      await admin.query(`do $$ begin
        if to_regclass('f') is not null then execute format('drop %s f cascade', case (select relkind from pg_class where oid = to_regclass('f')) when 'v' then 'view' when 'm' then 'materialized view' else 'table' end); end if;
        drop table if exists p cascade; end $$`)
    }
  })

  it('unit scope without unit_id', async () => {
    await admin.query('create table g (tenant_id uuid not null, id int, primary key (tenant_id, id))')
    expect((await plan('g', true))?.faults).toMatchObject([{ code: 'no-unit-id' }])
  })

  it('a table that does not exist', async () => {
    await expect(plan('nothing')).rejects.toMatchObject({
      code: 'ERR_STATEMENT_FAILED',
      message: expect.stringContaining('nothing'),
    })
  })
})

describe('protect()', () => {
  it('changes nothing the second time, and sees each single thing undone', async () => {
    await admin.query(
      'create table h (tenant_id uuid not null, id int, a text, b text, unit_id uuid, primary key (tenant_id, id))',
    )
    await protect({ url: database.adminUrl, tables: [{ name: 'h', unitScope: true }] })
    expect(await plan('h', true)).toMatchObject({ changes: [], faults: [] })
    const undone = [
      'alter table h no force row level security',
      'alter table h disable row level security',
      'drop policy rowhouse_wall on h',
      'drop policy rowhouse_tenant on h',
      'drop policy rowhouse_unit on h',
      'alter policy rowhouse_wall on h using (true)',
      'alter policy rowhouse_tenant on h with check (true)',
      'alter policy rowhouse_tenant on h to rowhouse_app',
      'grant truncate on h to rowhouse_app',
      'grant update (tenant_id) on h to rowhouse_app',
      'grant select on h to public',
      'alter table h add column c text',
      'alter table h alter column tenant_id drop default',
      'alter table h owner to current_user',
    ]
    for (const statement of undone) {
      await admin.query('begin')
      await admin.query(statement)
      const { rows } = await admin.query(`select kind from rowhouse.plan_protect('h', true) where kind <> 'warning'`)
      expect(rows.length, statement).toBeGreaterThan(0)
      await admin.query('rollback')
    }
  })

  it('mends all of several tables in one transaction or none', async () => {
    await admin.query(
      'create table i (tenant_id uuid not null, id int, primary key (tenant_id, id)); create table j (id int primary key)',
    )
    const attempt = protect({ url: database.adminUrl, tables: [{ name: 'i' }, { name: 'j' }] })
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE' })
    expect((await plan('i'))?.changes.length).toBeGreaterThan(0)
  })

  it('reaches partitions, which PostgreSQL does not protect through their parent', async () => {
    await admin.query(`create table k (tenant_id uuid not null, id int, primary key (tenant_id, id)) partition by hash (tenant_id);
      create table k0 partition of k for values with (modulus 1, remainder 0)`)
    await protect({ url: database.adminUrl, tables: [{ name: 'k' }] })
    const { rows } = await admin.query(
      `select relname, relforcerowsecurity as forced from pg_class where relname in ('k', 'k0') order by 1`,
    )
    expect(rows).toEqual([
      { relname: 'k', forced: true },
      { relname: 'k0', forced: true },
    ])
  })

  it('publishes reference tables read-only and refuses tenant tables as such', async () => {
    await admin.query('create table port (code text primary key)')
    await protect({ url: database.adminUrl, tables: [], references: ['port'] })
    const { rows } = await admin.query(
      `select privilege_type as right from information_schema.role_table_grants where grantee = 'rowhouse_app' and table_name = 'port'`,
    )
    expect(rows).toEqual([{ right: 'SELECT' }])
    await expect(protect({ url: database.adminUrl, tables: [], references: ['h'] })).rejects.toThrow(
      'is a tenant table',
    )
  })

  it('works with names that need quoting', async () => {
    await admin.query(
      'create schema "Odd Schema"; create table "Odd Schema"."Select" (tenant_id uuid not null, "Id" int, primary key (tenant_id, "Id")); grant usage on schema "Odd Schema" to rowhouse_owner',
    )
    await protect({ url: database.adminUrl, tables: [{ name: '"Odd Schema"."Select"' }] })
    expect((await plan('"Odd Schema"."Select"'))?.changes).toEqual([])
  })
})
