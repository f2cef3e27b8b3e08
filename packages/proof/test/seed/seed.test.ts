/** Rows for a schema nobody described: without rows in a table, every attack on it is refused for nothing. */

import type { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEmptyDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { applyStage } from '../../src/clone/clone-schema.ts'
import { readSchemaStatements } from '../../src/clone/schema-statements.ts'
import { connect, onDatabase, openScratchServer, type ScratchServer } from '../../src/clone/scratch-database.ts'
import { takeSurvey } from '../../src/doctor/survey.ts'
import { planRows } from '../../src/seed/row-plan.ts'
import { readSchemaFacts } from '../../src/seed/schema-facts.ts'
import { SHARED_ROWS, seedRows, VICTIM_ONLY } from '../../src/seed/seed-rows.ts'

const ATTACKER = '0a77ac00-0000-4000-8000-00000000000a'
const VICTIM = '0b0b0b00-0000-4000-8000-00000000000b'

let database: TestDatabase
let source: Client
let server: ScratchServer

beforeAll(async () => {
  database = await createEmptyDatabase()
  source = await connect(database.adminUrl)
  server = await openScratchServer(database.adminUrl)
})

afterAll(async () => {
  await source.end()
  await server.close()
  await database.drop()
})

interface Seeded {
  readonly client: Client
  /** Why tables are empty, by name. */
  readonly empty: ReadonlyMap<string, string>
  /** Keys the rows do not allow. */
  readonly refused: readonly string[]
  /** Values of the rows of each tenant, as text and in order. */
  rows(table: string, columns: string, tenant: string): Promise<string[]>
}

/** Makes a schema, copies and seeds it as `verify` does, and hands over the copy. */
async function seed(script: string, fn: (seeded: Seeded) => Promise<void>): Promise<void> {
  await source.query('begin; set local search_path = public')
  const name = await server.create()
  const client = await connect(onDatabase(database.adminUrl, name))
  try {
    await source.query(`${script}; set local search_path = pg_catalog`)
    const statements = await readSchemaStatements(source)
    const facts = await readSchemaFacts(source, await takeSurvey(source), 'rowhouse_app')
    expect(await applyStage(client, statements, 'structure')).toEqual([])
    const empty = await seedRows(client, facts, planRows(facts), { attacker: ATTACKER, victim: VICTIM })
    const refused = (await applyStage(client, statements, 'guards')).map(
      ({ object, refusal }) => `${object}: ${refusal}`,
    )
    const rows: Seeded['rows'] = async (table, columns, tenant) =>
      (
        await client.query<{ row: string }>(
          `select row(${columns})::text as row from public.${table} where tenant_id::text = $1 order by 1`,
          [tenant],
        )
      ).rows.map(({ row }) => row)
    await fn({ client, empty, refused, rows })
  } finally {
    await source.query('rollback')
    await client.end()
    await server.drop(name)
  }
}

test('every base type a column can have gets a value, or the reason why not', async () => {
  const { rows: types } = await source.query<{ name: string; array: boolean }>(`
    select format_type(t.oid, null) as name, t.typarray <> 0 as array from pg_type t
     where t.typtype in ('b', 'r', 'm') and t.typcategory <> 'A' and t.typnamespace = 'pg_catalog'::regnamespace order by 1`)
  expect(types.length).toBeGreaterThan(60)
  const script = types
    .map(
      ({ name, array }, index) =>
        `create table t${index} (tenant_id uuid not null, value ${name} not null${array ? `, list ${name}[] not null` : ''});`,
    )
    .join('\n')
  await seed(script, async ({ client, empty }) => {
    const without = types.filter((_, index) => empty.has(`public.t${index}`)).map(({ name }) => name)
    expect(without).toEqual([
      'aclitem',
      'gtsvector',
      'pg_brin_bloom_summary',
      'pg_brin_minmax_multi_summary',
      'pg_dependencies',
      'pg_mcv_list',
      'pg_ndistinct',
      'pg_node_tree',
    ])
    expect(empty.get(`public.t${types.findIndex(({ name }) => name === 'aclitem')}`)).toBe(
      'no value is known for value of type aclitem',
    )
    for (const [index, { name }] of types.entries()) {
      if (without.includes(name)) continue
      const { rows } = await client.query<{ own: number; other: number; kinds: number }>(
        `select count(*) filter (where tenant_id = $1)::int as own, count(*) filter (where tenant_id = $2)::int as other,
                count(distinct value::text)::int as kinds from public.t${index}`,
        [ATTACKER, VICTIM],
      )
      expect({ name, ...rows[0] }).toMatchObject({ name, own: SHARED_ROWS, other: VICTIM_ONLY })
      // Bits and booleans have but two values.
      expect({ name, many: (rows[0]?.kinds ?? 0) > 1 }).toEqual({ name, many: true })
    }
  })
})

test('types of the application get values too', async () => {
  const script = `
    create type mood as enum ('sad', 'it''s ok', '"NULL"'); create type nothing as enum ();
    create type pair as (a int, "B" text, m mood, at timestamptz[]); create type one as (a int); create type nil as ();
    create domain short as varchar(3); create domain deep as short; create domain many as int[];
    create type span as range (subtype = float8); create type words as range (subtype = text);
    create table kinds (tenant_id uuid not null, id int not null, m mood not null, ms mood[] not null, p pair not null, ps pair[] not null, o one not null, n nil not null, d deep not null,
      l many not null, s span not null, ss span_multirange not null, w words not null, c char(2) not null, v varchar(1) not null, x numeric(3,2) not null, b bit(4) not null, vb bit varying(2) not null,
      primary key (tenant_id, id));
    create table impossible (tenant_id uuid not null, n nothing not null);
    create table possible (tenant_id uuid not null, n nothing);`
  await seed(script, async ({ empty, refused, rows }) => {
    expect(refused).toEqual([])
    expect([...empty]).toEqual([['public.impossible', 'no value is known for n of type public.nothing']])
    expect(await rows('kinds', 'id', ATTACKER)).toHaveLength(SHARED_ROWS)
    expect(await rows('possible', 'tenant_id', VICTIM)).toHaveLength(VICTIM_ONLY)
    const [first] = await rows('kinds', 'p', ATTACKER)
    expect(first).toContain('1')
  })
})

const REFERENCES = `
  create table customer (tenant_id uuid, id int, region text, primary key (tenant_id, id), unique (tenant_id, region, id));
  create table orders (tenant_id uuid, number text, customer_id int not null, region text not null, primary key (tenant_id, number),
    foreign key (tenant_id, customer_id) references customer, foreign key (tenant_id, region, customer_id) references customer (tenant_id, region, id));
  create table line (tenant_id uuid, order_number text, place smallint, customer_id int not null, primary key (tenant_id, order_number, place),
    foreign key (tenant_id, order_number) references orders, foreign key (tenant_id, customer_id) references customer on delete cascade);
  create table tree (tenant_id uuid, id uuid, parent uuid, primary key (tenant_id, id), foreign key (tenant_id, parent) references tree);
  create table hen (tenant_id uuid, id bigint, egg_id bigint not null, primary key (tenant_id, id));
  create table egg (tenant_id uuid, id bigint, hen_id bigint not null, primary key (tenant_id, id), foreign key (tenant_id, hen_id) references hen);
  alter table hen add foreign key (tenant_id, egg_id) references egg deferrable initially deferred;
  create table port (code char(5) primary key);
  create table call (tenant_id uuid, id int, port char(5) not null references port, primary key (tenant_id, id));`

test('chains, shared columns, cycles and self references lead to rows that are there', async () => {
  await seed(REFERENCES, async ({ client, empty, refused, rows }) => {
    expect([...empty]).toEqual([])
    expect(refused).toEqual([])
    for (const [table, columns] of [
      ['customer', 'id'],
      ['orders', 'number'],
      ['line', 'order_number, place'],
      ['tree', 'id'],
      ['hen', 'id'],
      ['egg', 'id'],
      ['call', 'id'],
    ] as const) {
      const own = await rows(table, columns, ATTACKER)
      const others = await rows(table, columns, VICTIM)
      expect({ table, count: own.length }).toEqual({ table, count: SHARED_ROWS })
      expect(others.slice(0, SHARED_ROWS)).toEqual(own)
      expect(others).toHaveLength(VICTIM_ONLY)
    }
    await expect(
      client.query('select from public.line l join public.orders o using (tenant_id, customer_id)'),
    ).resolves.toMatchObject({ rowCount: SHARED_ROWS + VICTIM_ONLY })
  })
})

test('partitions of every kind have rows, those of sub-partitions and defaults too', async () => {
  const script = `
    create table by_date (tenant_id uuid, id int, at date not null) partition by range (at);
    create table by_date_1 partition of by_date for values from ('2026-01-01') to ('2026-02-01');
    create table by_date_2 partition of by_date for values from ('2026-02-01') to (maxvalue) partition by list (id);
    create table by_date_2_a partition of by_date_2 for values in (7, 8);
    create table by_date_2_b partition of by_date_2 default;
    create table by_two (tenant_id uuid, region text, n int) partition by range (region, n);
    create table by_two_1 partition of by_two for values from ('it''s, a', 5) to ('m', maxvalue);
    create table by_hash (tenant_id uuid, id int) partition by hash (tenant_id);
    create table by_hash_0 partition of by_hash for values with (modulus 2, remainder 0);
    create table by_hash_1 partition of by_hash for values with (modulus 2, remainder 1);
    create table by_list (tenant_id uuid, kind text) partition by list (kind);
    create table by_list_null partition of by_list for values in (null);
    create table by_list_words partition of by_list for values in ('x, y', 'z');
    create table for_somebody (tenant_id uuid, id int) partition by list (tenant_id);
    create table for_somebody_1 partition of for_somebody for values in ('00000000-0000-4000-8000-000000000001');`
  await seed(script, async ({ empty, rows }) => {
    expect([...empty.keys()]).toEqual(
      // Of one tenant only, and it is neither of the two; the two hashes and NULL take who they can.
      expect.arrayContaining(['public.for_somebody', 'public.for_somebody_1']),
    )
    expect([...empty.keys()].filter((name) => !/for_somebody|by_hash_|by_list_null/.test(name))).toEqual([])
    for (const table of ['by_date', 'by_date_1', 'by_date_2_a', 'by_two_1', 'by_hash', 'by_list_words'])
      expect({ table, count: (await rows(table, 'tenant_id', ATTACKER)).length }).not.toEqual({ table, count: 0 })
  })
})

test('a key that does not start with the tenant leaves the row to the victim, so that it can be asked about', async () => {
  const script = `
    create table coupon (tenant_id uuid, code text unique, primary key (tenant_id, code));
    create table used (tenant_id uuid, id int primary key, code text not null references coupon (code));
    create table settings (tenant_id uuid primary key, theme text);
    create table flag (tenant_id uuid, main boolean not null, primary key (tenant_id, main));
    create table mail (tenant_id uuid, address text not null, gone boolean);
    create unique index on mail (lower(address)) where gone is not null;
    create table empty_key (tenant_id uuid, a int, unique nulls not distinct (tenant_id, a));
    create table slot (tenant_id uuid, during int4range, exclude using gist (during with &&));`
  await seed(script, async ({ empty, refused, rows }) => {
    expect(refused).toEqual([])
    expect([...empty]).toEqual([])
    for (const table of ['coupon', 'used', 'mail', 'slot']) {
      expect({ table, victim: (await rows(table, 'tenant_id', VICTIM)).length }).toEqual({ table, victim: VICTIM_ONLY })
      expect({ table, attacker: (await rows(table, 'tenant_id', ATTACKER)).length }).toEqual({ table, attacker: 0 })
    }
    expect(await rows('settings', 'tenant_id', ATTACKER)).toHaveLength(1)
    expect(await rows('flag', 'main', ATTACKER)).toHaveLength(2)
    expect(await rows('empty_key', 'a', ATTACKER)).toHaveLength(SHARED_ROWS)
  })
})

test('a table that allows no row of anybody says why', async () => {
  const script = `
    create table by_number (tenant_id bigint, id int);
    create domain serious as text check (value ~ '^serious$');
    create table mailbox (tenant_id uuid, id int, kind serious not null);`
  await seed(script, async ({ empty, rows }) => {
    expect([...empty]).toEqual([['public.by_number', expect.stringContaining('invalid input syntax for type bigint')]])
    // Checks are not copied: no one knows a value that passes them, and isolation must not depend on them.
    expect(await rows('mailbox', 'id', VICTIM)).toHaveLength(VICTIM_ONLY)
  })
})
