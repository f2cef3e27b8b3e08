import pg from 'pg'
import type { Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MoveRecord } from '../../src/index.ts'
import type { Model } from '../../src/placing/placement-rules.ts'
import { createPlatform, type Platform } from '../support/platform.ts'
import { inSlice } from '../support/slice.ts'

/** Rows that are hard to move, changed while they are moved by sessions that write values differently. */

/** A table per type of key: its keys, one that comes, and one that is equal to the first and not the same. */
const KEYS: Readonly<Record<string, { type: string; keys: readonly string[]; more: string; alike?: string }>> = {
  text: {
    type: 'text',
    keys: [`E'it''s "quoted"\\n\\t\\\\N'`, `''`, `E'\\\\.'`, `'日本 %s $1 {}'`],
    more: `E'\\r\\n'`,
  },
  bytes: { type: 'bytea', keys: [`'\\x00'`, `'\\x'`, `'\\x5c785c'`], more: `'\\xff00'` },
  number: {
    type: 'numeric',
    keys: ['1.0', `'NaN'`, '-0.000', '12345678901234567890.123456789'],
    more: `'Infinity'`,
    alike: '1.00',
  },
  ratio: { type: 'float8', keys: ['0.1::float8 + 0.2', `'NaN'`, `'-Infinity'`, '1e-300'], more: '1.0000000000000002' },
  at: {
    type: 'timestamptz',
    keys: [`'2026-03-29 00:30:00.123456+00'`, `'infinity'`, `'0044-03-15 12:00 BC'`],
    more: `'-infinity'`,
  },
  span: {
    type: 'interval',
    keys: [`'1 day'`, `'-1 year 2 days -03:04:05.006'`],
    more: `'1 mon -1 day'`,
    alike: `'24 hours'`,
  },
  period: {
    type: 'daterange',
    keys: [`'[2026-02-01,2026-03-02)'`, `'empty'`, `'(,2026-01-02)'`],
    more: `'[2026-05-06,)'`,
  },
  mood: { type: 'mood', keys: [`'glad'`], more: `'it''s "sad"'` },
  short: { type: 'short', keys: [`'one'`, `' '`], more: `'two'` },
  folded: { type: 'text collate folded', keys: [`'Straße'`, `'b'`], more: `'c'`, alike: `'STRAßE'` },
  words: { type: 'text[]', keys: [`'{}'`, `'{NULL,"",a b}'`], more: `'{"{}"}'` },
  day: { type: 'date', keys: [`'2026-01-02'`, `'infinity'`], more: `'0001-01-01 BC'` },
}

const SCHEMA = `
create type mood as enum ('glad', 'it''s "sad"');
create domain short as text check (length(value) < 20);
create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
${Object.entries(KEYS)
  .map(
    ([name, { type }]) =>
      `create table "key ${name}" (tenant_id uuid not null, "the ""key" ${type}, n int default 0, primary key (tenant_id, "the ""key"));`,
  )
  .join('\n')}
create table compound (
  tenant_id uuid not null, a text, b int, c uuid, n int default 0, primary key (tenant_id, b, a, c));
create table rich (
  tenant_id uuid not null, id bigint generated always as identity,
  price numeric, ratio real, tags text[][], doc json, facts jsonb, at timestamptz, span interval, net inet, spot point, flags bit varying,
  mood mood, moods mood[], short short, loud text generated always as (upper(coalesce(doc ->> 'x', 'none'))) stored,
  primary key (tenant_id, id));
alter table rich drop column spot;
alter table rich add column later text default 'late';
create table node (
  tenant_id uuid not null, id int, parent int, primary key (tenant_id, id),
  foreign key (tenant_id, parent) references node (tenant_id, id) deferrable initially deferred);
create index node_parent_idx on node (tenant_id, parent);
create table hen (tenant_id uuid not null, id int, egg int, primary key (tenant_id, id));
create table egg (tenant_id uuid not null, id int, hen int, primary key (tenant_id, id),
  foreign key (tenant_id, hen) references hen (tenant_id, id) deferrable initially deferred);
alter table hen add foreign key (tenant_id, egg) references egg (tenant_id, id) deferrable initially deferred;
create index hen_egg_idx on hen (tenant_id, egg);
create index egg_hen_idx on egg (tenant_id, hen);
create table reading (tenant_id uuid not null, day date not null, id int, value text, primary key (tenant_id, day, id)) partition by range (day);
create table reading_2025 partition of reading for values from ('2025-01-01') to ('2026-01-01');
create table reading_rest partition of reading default;
create table seat (tenant_id uuid not null, id int, place int, primary key (tenant_id, id), unique (tenant_id, place) deferrable initially deferred);
`
const TABLES = [
  ...Object.keys(KEYS).map((name) => `key ${name}`),
  'compound',
  'rich',
  'node',
  'hen',
  'egg',
  'reading',
  'seat',
]

let platform: Platform
let app: Rowhouse
let tenantId = ''

beforeAll(async () => {
  platform = await createPlatform({}, SCHEMA)
  app = await platform.openApp()
  for (const slug of ['hostile', 'neighbour']) {
    const { id } = await platform.plane.provision({ slug, wish: { model: 'pooled', server: 'main' } })
    if (slug === 'hostile') tenantId = id
    await run(slug, FILL)
  }
  // Each move waits between the copy and the cut until the test resumes it.
  await platform.admin.query(`create function pause_it() returns trigger language plpgsql as $$ begin new.wish := 'pause'; return new; end $$;
    create trigger pause_it before insert on rowhouse.move for each row execute function pause_it()`)
})
afterAll(() => platform.close())

const FILL = [
  ...Object.entries(KEYS).map(
    ([name, { keys }]) => `insert into "key ${name}" ("the ""key") values ${keys.map((key) => `(${key})`).join(', ')}`,
  ),
  `insert into compound (a, b, c) select E'a\\n' || i, i % 3, md5(i::text)::uuid from generate_series(1, 40) i`,
  `insert into rich (price, ratio, tags, doc, facts, at, span, net, flags, mood, moods, short)
   select case i when 1 then 'NaN' when 2 then 'Infinity' else i / 7.0 end, i / 3.0, array[['a', null], ['', E'\\\\N']], '{"x":  1, "x": 2}', '{"b": 1.00, "a": null}',
          timestamptz '2026-03-29 00:59:59.999999+00' + i * interval '1 us', i * interval '1 mon -1 day', '10.0.0.1/8', B'0101', 'glad', '{glad,NULL}', 'x'
     from generate_series(1, 40) i`,
  `insert into node (id, parent) select i, nullif(i % 5 + 1, i) from generate_series(1, 30) i`,
  `with h as (insert into hen (id, egg) select i, i from generate_series(1, 10) i) insert into egg (id, hen) select i, 11 - i from generate_series(1, 10) i`,
  `insert into reading (day, id, value) select date '2025-12-01' + i, i, 'r' || i from generate_series(1, 60) i`,
  `insert into seat (id, place) select i, i from generate_series(1, 10) i`,
]

/** What changes between the copy and the cut; it can be done again after another move. */
const CHANGES = [
  ...Object.entries(KEYS).flatMap(([name, { keys, more, alike }]) => {
    const [table, key] = [`"key ${name}"`, '"the ""key"']
    return [
      `update ${table} set n = n + 1`,
      `delete from ${table} where ${key} = ${more}`,
      `insert into ${table} (${key}) values (${more})`,
      ...(alike === undefined ? [] : [`update ${table} set ${key} = ${alike} where ${key} = ${keys[0]}`]),
    ]
  }),
  `update compound set a = a || ' ', n = n + 1 where b = 1`,
  `update compound set b = 5 - b where b in (2, 3)`,
  `update rich set doc = '{"x": "changed"}', price = price + 0.10, moods = moods || 'it''s "sad"'::mood where id % 3 = 0`,
  `delete from rich where id % 13 = 5`,
  `insert into rich (later) values (null)`,
  `update node set parent = 31 - id where id % 2 = 0`,
  `update hen set egg = 11 - egg`,
  // From one partition to another, and back the next time.
  `update reading set day = case when day < '2026-01-01' then day + 365 else day - 365 end where id % 4 = 0`,
  `update seat set place = 11 - place`,
]

/** A session of the application that writes values as somebody else would. */
const OTHERWISE = `select set_config('timezone', 'Asia/Kathmandu', true), set_config('datestyle', 'SQL, DMY', true),
  set_config('intervalstyle', 'sql_standard', true), set_config('extra_float_digits', '-10', true), set_config('bytea_output', 'escape', true)`

async function run(slug: string, statements: readonly string[], first?: string): Promise<void> {
  await app.withTenant(slug, (db) =>
    db.transaction(async (tx) => {
      if (first !== undefined) await tx.query(first)
      for (const statement of statements) await tx.query(statement)
    }),
  )
}

/** Text of all rows of the tenant in one home, read past the walls. */
async function rowsIn({ server, database, schema = 'public' }: MoveRecord['source'], id: string) {
  const url = server === 'main' ? platform.central.adminUrl : platform.old.url
  const connectionString = Object.assign(new URL(url), database && { pathname: `/${database}` }).href
  const client = new pg.Client({ connectionString })
  await client.connect()
  const found: Record<string, string[]> = {}
  for (const table of TABLES) {
    const { rows } = await client.query(
      `select to_jsonb(t)::text as row from ${schema}."${table}" t where tenant_id = $1 order by 1`,
      [id],
    )
    found[table] = rows.map(({ row }) => row)
  }
  await client.end()
  return found
}

async function move(model: Model, server: string, during: () => Promise<void>): Promise<MoveRecord> {
  const moving = platform.plane.moves
    .start({ tenant: 'hostile', to: { model, server }, reason: 'hostile rows', requestedBy: 'test' })
    .catch((error) => error)
  const current = async () => (await platform.plane.moves.list('hostile'))[0]
  await expect.poll(async () => (await current())?.state, { timeout: 30_000, interval: 20 }).toBe('catching-up')
  await during()
  await platform.plane.moves.resume((await current())?.id ?? '')
  const moved = await moving
  if (moved instanceof Error) throw moved
  return moved
}

const changes = async () => {
  await run('hostile', CHANGES)
  await run('hostile', CHANGES, OTHERWISE)
}

const PAIRS: readonly (readonly [Model, string])[] = [
  ['schema', 'main'],
  ['database', 'old-1'],
  ['pooled', 'main'],
  ['database', 'main'],
  ['database', 'old-1'],
  ['schema', 'main'],
  ['schema', 'old-1'],
  ['pooled', 'old-1'],
  ['pooled', 'main'],
]

// All nine with `npm run test:long`.
it.each(inSlice(PAIRS, 3))(
  'hostile rows move to %s on %s exactly as they are, and others stay',
  async (model, server) => {
    const { id } = (await platform.plane.tenants.find('neighbour')) ?? { id: '' }
    const shared = { server: 'main', model: 'pooled', database: undefined, schema: undefined } as const
    const neighbour = await rowsIn(shared, id)
    expect(Object.values(neighbour).flat().length).toBeGreaterThan(200)
    const moved = await move(model, server, changes)
    expect(moved).toMatchObject({ state: 'switched' })
    // The old home is as it was at the cut.
    const there = await rowsIn(moved.source, tenantId)
    expect(await rowsIn(moved.target, tenantId)).toEqual(there)
    for (const table of TABLES) expect([table, there[table]?.length]).not.toEqual([table, 0])
    await platform.plane.moves.complete(moved.id)
    expect(await rowsIn(shared, id)).toEqual(neighbour)
    expect(await platform.plane.findOrphans()).toEqual([])
  },
)

it('hostile rows come back exactly as they are now', async () => {
  const moved = await move('schema', 'old-1', async () => {})
  await changes()
  const now = await rowsIn(moved.target, tenantId)
  await platform.plane.moves.revert(moved.id)
  expect(await rowsIn(moved.source, tenantId)).toEqual(now)
  expect(await platform.plane.findOrphans()).toEqual([])
})
