import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { urlOf, withAdminClient } from '../../../core/test/support/admin-client.ts'
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { advise } from '../../src/advise/advise.ts'
import { factsFromAnswers } from '../../src/advise/questions.ts'
import { readFacts } from '../../src/advise/read-facts.ts'

let database: TestDatabase

/** 100 tenants with 10 notes each and 1 with 5,000; a large table of 30,000 wide rows; partitions; a foreign column. */
beforeAll(async () => {
  database = await createEmptyDatabase()
  await withAdminClient(database.adminUrl, (client) =>
    client.query(`
      create table note (account_id integer not null, id integer not null, body text, primary key (account_id, id));
      insert into note select a, n, 'x' from generate_series(1, 100) a, generate_series(1, 10) n;
      insert into note select 101, n, 'x' from generate_series(1, 5000) n;
      create table event (account_id integer not null, at timestamptz, payload text);
      insert into event select 1 + n % 101, now(), repeat('x', 900) from generate_series(1, 30000) n;
      create table part (account_id integer not null, id integer) partition by hash (account_id);
      create table part_0 partition of part for values with (modulus 2, remainder 0);
      create table part_1 partition of part for values with (modulus 2, remainder 1);
      insert into part select a, 1 from generate_series(1, 101) a;
      create table country (code text primary key);
      create schema "Odd ""name";
      create table "Odd ""name"."My Table" (account_id integer);
      analyze`),
  )
})

afterAll(() => database.drop())

describe('readFacts()', () => {
  it('counts tenants, rows, tables and indexes of a database that never saw Rowhouse', async () => {
    const { facts, server, tables, estimated } = await readFacts(database.adminUrl, { tenantColumn: 'account_id' })
    expect(facts).toMatchObject({ tenants: 101, tenantTables: 3, tenantIndexes: 1, largeTenants: 0 })
    // 10 notes, 297 or 298 events, 1 part; the largest has 5,000 notes.
    expect(facts.rowsPerTenant).toEqual({ median: 308, p99: 309, largest: 5298 })
    expect(tables.map(({ table, rows, how }) => [table, rows, how])).toEqual([
      ['"Odd ""name"."My Table"', 0, 'counted'],
      ['public.part', 101, 'counted'],
      ['public.note', 6000, 'counted'],
      ['public.event', 30000, 'counted'],
    ])
    expect(estimated).toEqual([
      'Bytes per tenant are its share of the rows of each table',
      'Peak of connections is the number open now, which is a moment and not a peak',
    ])
    expect(server).toMatchObject({ tenantSchemas: 2, sharedBuffersBytes: 128 * 1024 * 1024 })
    expect(facts.maxConnections).toBe(300)
    const bytes = tables.reduce((sum, table) => sum + table.bytes, 0)
    expect(facts.bytesPerTenant.median * 101).toBeGreaterThan(bytes / 3)
    expect(facts.bytesPerTenant.median * 101).toBeLessThan(bytes)
  })

  it('feeds advise', async () => {
    const { facts } = await readFacts(database.adminUrl, { tenantColumn: 'account_id' })
    const advice = advise(factsFromAnswers({ compliance: 'hipaa=2' }, facts))
    expect(advice.facts.tenants).toBe(101)
    expect(advice.classes.map(({ model }) => model)).toEqual(['database', 'pooled'])
  })

  it('samples tables above the size, says so, and comes near', async () => {
    const { facts, tables, estimated } = await readFacts(database.adminUrl, {
      tenantColumn: 'account_id',
      countUpToBytes: 1_000_000,
    })
    const event = tables.find(({ table }) => table === 'public.event')
    expect(event).toMatchObject({ how: 'sampled', rows: 30_000, tenants: 101 })
    expect(estimated[0]).toMatch(/^Rows of public\.event are sampled: \d+ % of \d+ pages were read$/)
    expect(facts.tenants).toBe(101)
    expect(facts.rowsPerTenant.median).toBeGreaterThan(200)
    expect(facts.rowsPerTenant.median).toBeLessThan(450)
  })

  it('takes a locked table from the statistics instead of waiting for it', async () => {
    await withAdminClient(database.adminUrl, async (locker) => {
      await locker.query('begin; lock table note in access exclusive mode')
      const { tables, estimated, facts } = await readFacts(database.adminUrl, { tenantColumn: 'account_id' })
      expect(tables.find(({ table }) => table === 'public.note')).toMatchObject({ how: 'from statistics', rows: 6000 })
      expect(estimated[0]).toMatch(/^Rows of public\.note are from statistics: somebody holds it$/)
      expect(facts.tenants).toBe(101)
      await locker.query('rollback')
    })
  })

  it('counts tenants of the registry who have no row yet', async () => {
    const installed = await createTestDatabase()
    try {
      await withAdminClient(installed.adminUrl, (client) =>
        client.query(`create table thing (tenant_id uuid not null, id integer, primary key (tenant_id, id));
                      insert into thing values (gen_random_uuid(), 1);
                      insert into rowhouse.tenant (id, slug, name) select gen_random_uuid(), 't-' || n, 'T' from generate_series(1, 5) n`),
      )
      const { facts, tables } = await readFacts(installed.adminUrl)
      expect(facts).toMatchObject({ tenants: 5, tenantTables: 1, tenantIndexes: 1 })
      expect(facts.rowsPerTenant).toEqual({ median: 0, p99: 1, largest: 1 })
      expect(tables.map(({ table }) => table)).toEqual(['public.thing'])
    } finally {
      await installed.drop()
    }
  })

  it('changes no row', async () => {
    const writes = () =>
      withAdminClient(database.adminUrl, async (client) => {
        const { rows } = await client.query<{ writes: string }>(
          `select sum(n_tup_ins + n_tup_upd + n_tup_del) as writes from pg_stat_user_tables`,
        )
        return rows[0]?.writes
      })
    const before = await writes()
    await readFacts(database.adminUrl, { tenantColumn: 'account_id' })
    expect(await writes()).toBe(before)
  })

  it('refuses a login that row-level security restricts, instead of counting what it is shown', async () => {
    const guarded = await createEmptyDatabase()
    const role = `reader_${guarded.name}`
    try {
      await withAdminClient(guarded.adminUrl, (client) =>
        client.query(`create table thing (tenant_id integer); insert into thing values (1), (2);
                      alter table thing enable row level security;
                      create policy one_of_two on thing using (tenant_id = 1);
                      create role ${role} login password 'pw'; grant select on thing to ${role}`),
      )
      const url = urlOf(guarded.adminUrl, guarded.name, { user: role, password: 'pw' })
      // The positive control: without row_security = off this login counts one row of two, and no error.
      const seen = await withAdminClient(url, (client) => client.query('select count(*)::int as n from thing'))
      expect(seen.rows).toEqual([{ n: 1 }])
      await expect(readFacts(url)).rejects.toMatchObject({
        code: 'ERR_ADMIN_REQUIRED',
        message:
          'Cannot read facts: the login sees only a part, query would be affected by row-level security policy for table "thing"; use one that owns the tables and that row-level security does not restrict',
      })
    } finally {
      await guarded.drop()
      await withAdminClient(database.adminUrl, (client) => client.query(`drop role if exists ${role}`))
    }
  })

  it.each([
    [
      { tenantColumn: 'nobody_id' },
      'ERR_CONFIG_INVALID',
      /^Cannot read facts: no table of database "test_\w+" has a column "nobody_id"; name the column/,
    ],
    [{ tenantColumn: '' }, 'ERR_CONFIG_INVALID', /"tenantColumn" is ""; wanted the name of a column/],
    [{ timeoutMs: 5 }, 'ERR_CONFIG_INVALID', /"timeoutMs" is 5; wanted 1000 to 3600000/],
    [{ countUpToBytes: -1 }, 'ERR_CONFIG_INVALID', /"countUpToBytes" is -1; wanted a whole number from 0 on/],
    [{ tenantColumn: 'id"; drop table note; --' }, 'ERR_CONFIG_INVALID', /has a column "id"; drop table note; --"/],
  ])('refuses the options %j', async (options, code, message) => {
    await expect(readFacts(database.adminUrl, options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
  })

  it('refuses a URL that is none without repeating it, and says when nobody answers', async () => {
    const secret = 'my secret pass'
    await expect(readFacts(secret)).rejects.toMatchObject({
      code: 'ERR_CONFIG_INVALID',
      message:
        'Cannot read facts: the URL of the database cannot be read; wanted postgres://user:password@host:port/database',
    })
    await expect(readFacts('postgres://u:p@127.0.0.1:1/x')).rejects.toMatchObject({
      code: 'ERR_DATABASE_UNAVAILABLE',
      message: expect.stringMatching(
        /^Cannot read facts: the database cannot be reached, .*; check host, port and login$/,
      ),
    })
  })
})
