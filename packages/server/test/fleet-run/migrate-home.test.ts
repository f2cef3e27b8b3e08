import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { createRowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { migrateHome } from '../../src/fleet/migrate-home.ts'
import { createFleet, open, type TestFleet, type TestTenant } from './fleet.ts'
import { migrationsOf } from './folder.ts'

const FIRST = `create table shipment (tenant_id uuid not null, id bigint, label text not null, primary key (tenant_id, id));
  create table event (tenant_id uuid not null, id bigint, shipment_id bigint, primary key (tenant_id, id));`

let fleet: TestFleet
let client: pg.Client
beforeAll(async () => {
  fleet = await createFleet()
  client = await open(fleet.central.adminUrl)
  await migrateHome(client, { schema: undefined }, await migrationsOf({ '0001-first.sql': FIRST }))
})
afterAll(async () => {
  await client.end()
  await fleet.close()
})

let made = 0
/** A schema with the first migration. */
async function makeHome(): Promise<TestTenant & { readonly schema: string }> {
  made += 1
  const home = await fleet.add(`home-${made}`)
  await migrateHome(client, home, await migrationsOf({ '0001-first.sql': FIRST }))
  return { ...home, schema: home.schema ?? '' }
}

const withFirst = (files: Record<string, string>) => migrationsOf({ '0001-first.sql': FIRST, ...files })

const ledgerOf = async (schema: string) =>
  (
    await fleet.admin.query('select id from rowhouse.applied_migration where home = $1 order by applied_at, id', [
      schema,
    ])
  ).rows.map(({ id }) => id)

const exists = async (schema: string, name: string) =>
  (
    await fleet.admin.query('select from pg_class where relnamespace = $1::regnamespace and relname = $2', [
      schema,
      name,
    ])
  ).rowCount === 1

describe('migrateHome()', () => {
  it('leaves nothing of a migration that fails, and names file and line', async () => {
    const home = await makeHome()
    const broken = await withFirst({ '0002-two.sql': 'create table a (x int);\ncreate table b (y nothing);' })
    await expect(migrateHome(client, home, broken)).rejects.toMatchObject({
      code: 'ERR_MIGRATION_FAILED',
      message: expect.stringMatching(
        new RegExp(
          `^Cannot migrate schema "${home.schema}": .*/0002-two\\.sql:2: type "nothing" does not exist \\(SQLSTATE 42704\\); nothing of it was kept$`,
        ),
      ),
    })
    expect([await exists(home.schema, 'a'), await ledgerOf(home.schema)]).toEqual([false, ['0001-first']])
  })

  it('takes back a table that cannot be a tenant table', async () => {
    const home = await makeHome()
    const open = await withFirst({
      '0002-open.sql': 'create table open (tenant_id uuid not null, id bigint primary key);',
    })
    await expect(migrateHome(client, home, open)).rejects.toMatchObject({
      code: 'ERR_ISOLATION_TABLE_UNPROTECTABLE',
      message: expect.stringMatching(/0002-open\.sql: .*cannot be a tenant table yet:[\s\S]*key-not-by-tenant/),
    })
    expect(await exists(home.schema, 'open')).toBe(false)
  })

  it('does not change shared tables when a tenant’s schema lacks its own', async () => {
    const home = await makeHome()
    await fleet.admin.query(`drop table ${home.schema}.shipment`)
    const files = { '0002-column.sql': 'alter table shipment add column strayed int;' }
    await expect(migrateHome(client, home, await withFirst(files))).rejects.toMatchObject({
      code: 'ERR_MIGRATION_FAILED',
      message: expect.stringContaining(
        `shipment in schema "${home.schema}" does not exist, and the shared one of that name is not meant`,
      ),
    })
    const strayed = `select from pg_attribute where attrelid = 'public.shipment'::regclass and attname = 'strayed'`
    expect((await fleet.admin.query(strayed)).rowCount).toBe(0)
    // The attack: the same search path without that check changes the tables of all others.
    await fleet.admin.query(`begin; set local role rowhouse_owner; set local search_path = ${home.schema}, public`)
    await fleet.admin.query('alter table shipment add column strayed int')
    expect((await fleet.admin.query(strayed)).rowCount).toBe(1)
    await fleet.admin.query('rollback')
  })

  it('says that a migration has no tenant when it reads rows', async () => {
    const home = await makeHome()
    const files = { '0002-rows.sql': `-- rowhouse: no-transaction\nupdate shipment set label = 'x';` }
    await expect(migrateHome(client, home, await withFirst(files))).rejects.toMatchObject({
      code: 'ERR_MIGRATION_FAILED',
      message: expect.stringContaining(
        'it reads or writes rows of tenants, and a migration has no tenant; change rows from the application, tenant by tenant',
      ),
    })
  })

  it('adds foreign keys between protected tables, whoever the operator is, and keeps the walls', async () => {
    const key =
      'alter table event add constraint event_shipment_fk foreign key (tenant_id, shipment_id) references shipment (tenant_id, id);'
    const role = `fleet_operator_${made}`
    await fleet.admin.query(
      `create role ${role} login password 'x' noinherit; grant rowhouse_owner to ${role}; grant connect on database ${fleet.central.name} to ${role}`,
    )
    const url = new URL(fleet.central.adminUrl)
    url.username = role
    url.password = 'x'
    const plain = await open(url.href)
    try {
      for (const operator of [client, plain]) {
        const home = await makeHome()
        await fleet.admin.query(`insert into ${home.schema}.shipment (tenant_id, id, label) values ($1, 1, 'x')`, [
          home.id,
        ])
        await fleet.admin.query(`insert into ${home.schema}.event (tenant_id, id, shipment_id) values ($1, 1, 1)`, [
          home.id,
        ])
        const files = {
          '0002-key.sql': key,
          '0003-late.sql':
            'alter table event add constraint late_fk foreign key (tenant_id, id) references shipment not valid;',
          '0004-valid.sql': 'alter table event validate constraint late_fk;',
        }
        expect((await migrateHome(operator, home, await withFirst(files))).applied).toHaveLength(3)
        const { rows } = await fleet.admin.query(
          `select bool_and(relforcerowsecurity) as forced, bool_and(relowner = 'rowhouse_owner'::regrole) as owned,
                  (select count(*)::int from pg_constraint where convalidated and contype = 'f' and connamespace = $1::regnamespace) as keys
             from pg_class where relnamespace = $1::regnamespace and relkind = 'r'`,
          [home.schema],
        )
        expect(rows).toEqual([{ forced: true, owned: true, keys: 2 }])
      }
    } finally {
      await plain.end()
      await fleet.admin.query(`revoke connect on database ${fleet.central.name} from ${role}; drop role ${role}`)
    }
  })

  it('keeps tenants apart after a migration: own rows only, own schema only', async () => {
    const [one, two] = [await makeHome(), await makeHome()]
    const files = {
      '0002-new.sql':
        'create table invoice (tenant_id uuid not null, id bigint, primary key (tenant_id, id)); alter table shipment add column eta date;',
    }
    for (const home of [one, two]) await migrateHome(client, home, await withFirst(files))
    for (const home of [one, two]) {
      await fleet.admin.query(`insert into ${home.schema}.invoice (tenant_id, id) values ($1, 1)`, [home.id])
    }
    const rowhouse = await createRowhouse({ url: fleet.central.appUrl, rootKey: fleet.central.rootKey })
    try {
      await rowhouse.withTenant(one.slug, async () => {
        const own = await rowhouse.db.query('select tenant_id from invoice')
        expect(own.rows).toEqual([{ tenant_id: one.id }])
        await rowhouse.db.query(`insert into shipment (id, label, eta) values (9, 'mine', '2026-01-01')`)
        await expect(rowhouse.db.query(`select * from ${two.schema}.invoice`)).rejects.toMatchObject({
          code: 'ERR_ISOLATION_SEAL_REFUSED',
        })
      })
    } finally {
      await rowhouse.close()
    }
  })

  it('asks for a lock again, and blocks the application no longer than lock_timeout', async () => {
    const home = await makeHome()
    const [holder, application] = [await open(fleet.central.adminUrl), await open(fleet.central.adminUrl)]
    await holder.query(`begin; select from ${home.schema}.shipment`)
    const migrating = migrateHome(
      client,
      home,
      await withFirst({ '0002-lock.sql': 'alter table shipment add column locked int;' }),
      { lockTimeoutMs: 200 },
    )
    const waiting = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%add column locked%'`
    await vi.waitUntil(async () => (await fleet.admin.query(waiting)).rowCount === 1, { timeout: 20_000, interval: 5 })
    // It queues behind the migration, which queues behind the long transaction, and is let through by lock_timeout.
    await application.query(`set lock_timeout = '5s'`)
    await application.query(`select from ${home.schema}.shipment`)
    expect(await exists(home.schema, 'shipment')).toBe(true)
    await holder.query('commit')
    const { applied, retries } = await migrating
    expect(applied).toEqual(['0002-lock'])
    expect(retries).toBeGreaterThan(0)
    await Promise.all([holder.end(), application.end()])
  })

  it('gives up after the last attempt and says what to look for', async () => {
    const home = await makeHome()
    const holder = await open(fleet.central.adminUrl)
    await holder.query(`begin; select from ${home.schema}.shipment`)
    const migrations = await withFirst({ '0002-lock.sql': 'alter table shipment add column locked int;' })
    await expect(migrateHome(client, home, migrations, { lockTimeoutMs: 20, lockAttempts: 2 })).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      message: `Cannot migrate schema "${home.schema}": a lock was refused 2 times; find the transaction that holds it in pg_stat_activity, then run again`,
    })
    await holder.end()
    expect(await ledgerOf(home.schema)).toEqual(['0001-first'])
  })

  it('lets two who migrate one home take turns', async () => {
    const home = await makeHome()
    const other = await open(fleet.central.adminUrl)
    const migrations = await withFirst({
      '0002-both.sql': 'create table both_want (tenant_id uuid not null, id bigint, primary key (tenant_id, id));',
    })
    const results = await Promise.all([migrateHome(client, home, migrations), migrateHome(other, home, migrations)])
    expect(results.map(({ applied }) => applied.length).sort()).toEqual([0, 1])
    await other.end()
  })

  it('makes an index again that a killed CREATE INDEX CONCURRENTLY left invalid', async () => {
    const home = await makeHome()
    const files = { '0002-index.sql': 'create index concurrently shipment_label_idx on shipment (tenant_id, label);' }
    const migrations = await withFirst(files)
    // CONCURRENTLY waits for transactions that are older than its index.
    const older = await open(fleet.central.adminUrl)
    await older.query(
      `begin isolation level repeatable read; insert into ${home.schema}.shipment (tenant_id, id, label) values ('${home.id}', 1, 'x')`,
    )
    const victim = await open(fleet.central.adminUrl)
    const failing = migrateHome(victim, home, migrations).catch((error: unknown) => error)
    const building = `select from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname = 'shipment_label_idx' and not i.indisvalid`
    await vi.waitUntil(async () => (await fleet.admin.query(building)).rowCount === 1, { timeout: 20_000, interval: 5 })
    await fleet.admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'create index concurrently shipment_label_idx%'`,
    )
    expect(await failing).toMatchObject({ code: 'ERR_DATABASE_UNAVAILABLE' })
    expect((await fleet.admin.query(building)).rowCount).toBe(1)
    await older.query('rollback')
    await older.end()
    await migrateHome(client, home, migrations)
    const { rows } = await fleet.admin.query(
      `select i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname ~ '^shipment_label_idx'`,
    )
    expect(rows).toEqual([{ valid: true }])
    expect((await fleet.admin.query('select from rowhouse.migration_progress')).rowCount).toBe(0)
    expect(await ledgerOf(home.schema)).toEqual(['0001-first', '0002-index'])
    await victim.end().catch(() => {})
  })

  it('runs each statement outside of a transaction once, also when a later one fails', async () => {
    const home = await makeHome()
    const text = `-- rowhouse: no-transaction\ncreate table once_only (tenant_id uuid not null, id bigint, primary key (tenant_id, id));\ncreate index concurrently once_idx on once_only (tenant_id, label);`
    await expect(migrateHome(client, home, await withFirst({ '0002-once.sql': text }))).rejects.toMatchObject({
      message: expect.stringMatching(/0002-once\.sql:3: column "label" does not exist/),
    })
    const mended = text.replace('label', 'id')
    await fleet.admin.query(`drop table ${home.schema}.once_only`)
    expect((await migrateHome(client, home, await withFirst({ '0002-once.sql': mended }))).applied).toEqual([
      '0002-once',
    ])
    expect(await exists(home.schema, 'once_idx')).toBe(true)
  })

  it('fills an unused home in one transaction, CONCURRENTLY included', async () => {
    const home = await fleet.add('fresh')
    const holder = await open(fleet.central.adminUrl)
    await holder.query('begin isolation level repeatable read; select 1')
    const files = {
      '0002-index.sql': 'create index concurrently fresh_idx on shipment (tenant_id, label);',
      '0003-more.sql': 'alter table shipment add column more int;',
    }
    expect((await migrateHome(client, home, await withFirst(files))).applied).toEqual([
      '0001-first',
      '0002-index',
      '0003-more',
    ])
    await holder.end()
    const { rows } = await fleet.admin.query(
      'select count(distinct xmin::text)::int as transactions from rowhouse.applied_migration where home = $1',
      [home.schema],
    )
    expect(rows).toEqual([{ transactions: 1 }])
  })

  it('protects a further home as completely as the first', async () => {
    const homes = [await fleet.add('first-one'), await fleet.add('second-one')]
    for (const home of homes)
      await migrateHome(client, home, await withFirst({ '0002-x.sql': 'alter table event add column x int;' }))
    for (const { schema } of homes) {
      const { rows } = await fleet.admin.query(
        `select count(*)::int as left from unnest(array['shipment', 'event']) t, rowhouse.plan_protect(($1 || '.' || t)::regclass)`,
        [schema],
      )
      expect(rows).toEqual([{ left: 0 }])
    }
  })

  it('refuses a schema that is not there, or no tenant’s', async () => {
    await expect(migrateHome(client, { schema: 'public; drop table x' }, [])).rejects.toThrow(
      new RangeError(
        `Cannot migrate schema "public; drop table x": wanted the name of a tenant's own schema, t_<slug>_<12 hex digits>`,
      ),
    )
    await expect(migrateHome(client, { schema: 't_none_000000000000' }, [])).rejects.toThrow(
      new RangeError('Cannot migrate schema "t_none_000000000000": it does not exist in this database'),
    )
  })
})

describe('a process that is killed', () => {
  const STEPS: Record<string, Record<string, string>> = {
    'in the middle of a transaction': {
      '0002-a.sql':
        'create table a (tenant_id uuid not null, id int, primary key (tenant_id, id)); select pg_advisory_xact_lock_shared(99); alter table shipment add column a int;',
    },
    'between two migrations': {
      '0002-a.sql': 'alter table shipment add column a int;',
      '0003-b.sql': 'select pg_advisory_xact_lock_shared(99); alter table shipment add column b int;',
    },
    'between two statements outside of transactions': {
      '0002-a.sql':
        '-- rowhouse: no-transaction\ncreate index concurrently a_idx on shipment (tenant_id, label);\nselect pg_advisory_xact_lock_shared(99);\ncreate index concurrently b_idx on shipment (label, tenant_id);',
    },
  }
  it.each(Object.entries(STEPS))('%s: the next one finishes its work', async (_, files) => {
    const home = await makeHome()
    const migrations = await withFirst(files)
    const folder = await mkdtemp(join(tmpdir(), 'rowhouse-kill-'))
    await Promise.all(
      Object.entries({ '0001-first.sql': FIRST, ...files }).map(([name, text]) => writeFile(join(folder, name), text)),
    )
    const gate = await open(fleet.central.adminUrl)
    await gate.query('select pg_advisory_lock(99)')
    const child = startChild(fleet.central.adminUrl, home.schema, folder)
    const waiting = `select pid from pg_stat_activity where wait_event = 'advisory' and datname = current_database() and application_name = 'fleet-child'`
    await vi.waitUntil(async () => (await gate.query(waiting)).rowCount === 1, { timeout: 60_000, interval: 10 })
    child.kill('SIGKILL')
    await once(child, 'exit')
    await gate.query('select pg_advisory_unlock(99)')
    await gate.end()

    await migrateHome(client, home, migrations)
    expect(await ledgerOf(home.schema)).toEqual(migrations.map(({ id }) => id))
    expect((await fleet.admin.query('select from rowhouse.migration_progress')).rowCount).toBe(0)
    const invalid = `select from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = $1::regnamespace and not i.indisvalid`
    expect((await fleet.admin.query(invalid, [home.schema])).rowCount).toBe(0)
    await rm(folder, { recursive: true })
  })
})

function startChild(url: string, schema: string, folder: string): ChildProcess {
  const script = join(import.meta.dirname, 'migrate-child.ts')
  return spawn(process.execPath, ['--conditions=source', '--import', 'tsx', script, url, schema, folder], {
    stdio: 'inherit',
  })
}
