import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours, UNIT_1, UNIT_2 } from '../support/tenants.ts'

let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours()
  // The weakened twin: the plain-setting policy found in most guides. Every attack below must succeed against it.
  await n.inHomes(`
    create table twin (tenant_id uuid not null, id bigint not null, label text not null, primary key (tenant_id, id));
    insert into twin select * from item;
    alter table twin enable row level security;
    create policy p on twin using (tenant_id = current_setting('app.tenant')::uuid) with check (true);
    grant select, insert, update, delete, truncate on twin to rowhouse_app;`)
})
afterAll(() => n.close())

const asA = <T>(fn: Parameters<typeof n.rowhouse.withTenant<T>>[1]) => n.rowhouse.withTenant('acme', fn)

describe('a forgotten WHERE', () => {
  it('reads own rows and no others', async () => {
    const labels = await asA((db) => db.many<{ label: string }>('select label from item order by id'))
    expect(labels.map((row) => row.label)).toEqual(['acme1', 'acme2', 'acme3'])
  })

  it('changes own rows and no others, also blind (no WHERE, no RETURNING)', async () => {
    const before = await n.digestOfOthers('item', n.a.id)
    await asA(async (db) => {
      await db.query(`update item set label = label || '!'`)
      await db.query('delete from item where id = 3')
      await db.query('delete from item')
    })
    expect(await n.digestOfOthers('item', n.a.id)).toBe(before)
    await asA((db) => db.query(`insert into item (id, label) select n, 'acme' || n from generate_series(1, 3) n`))
  })

  it.each([
    ['join', 'select count(*)::int as n from item i join note x using (id)', 3],
    ['CTE', 'with x as (select * from item) select count(*)::int as n from x', 3],
    ['window', 'select max(c)::int as n from (select count(*) over () as c from item) x', 3],
    ['set operation', 'select count(*)::int as n from (select label from item union all select body from note) x', 6],
    ['lateral', 'select count(*)::int as n from item i, lateral (select * from note where note.id = i.id) x', 3],
    ['whole-row', `select count(*)::int as n from item where item::text like '%globex%'`, 0],
    ['tablesample', 'select count(*)::int as n from item tablesample system (100)', 3],
    [
      'query_to_xml',
      `select (length(x) - length(replace(x, 'globex', '')))::int as n from (select query_to_xml('select * from item', true, true, '')::text x) y`,
      0,
    ],
  ])('is contained in a %s', async (_name, text, wanted) => {
    expect((await asA((db) => db.one<{ n: number }>(text))).n).toBe(wanted)
  })
})

describe('a row of another tenant', () => {
  it('cannot be inserted', async () => {
    const attempt = asA((db) =>
      db.query('insert into item (tenant_id, id, label) values ($1, 99, $2)', [n.b.id, 'planted']),
    )
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_ISOLATION_FOREIGN_ROW',
      message: expect.stringContaining('belongs to another tenant'),
    })
  })

  it('cannot be made by an update: no column grant on tenant_id', async () => {
    const attempt = asA((db) => db.query('update item set tenant_id = $1', [n.b.id]))
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_STATEMENT_FAILED', sqlState: '42501' })
  })

  it('is not found by its id, like an id that does not exist', async () => {
    await n.inHomes(`insert into item values ($1, 777, 'secret')`, [n.b.id])
    const [foreign, random] = await asA(async (db) => [
      await db.many('select * from item where id = 777'),
      await db.many('select * from item where id = 778'),
    ])
    expect(foreign).toEqual(random)
  })

  it.each([
    ['ON CONFLICT DO NOTHING', `insert into item (id, label) values (777, 'mine') on conflict do nothing`],
    [
      'MERGE',
      `merge into item i using (values (777)) v (id) on i.id = v.id when not matched then insert (id, label) values (v.id, 'mine')`,
    ],
  ])('does not show through %s: the own row is written', async (_name, text) => {
    const result = await asA(async (db) => {
      await db.query('delete from item where id = 777')
      return db.query(text)
    })
    expect(result.rowCount).toBe(1)
  })

  it.each([
    'truncate item',
    'create temp table t (x int)',
    'create table public.t (x int)',
    'select * from rowhouse.resident',
    'select * from rowhouse.accepted_stamp',
    'alter table item disable row level security',
    'set role rowhouse_owner',
    `copy item from program 'id'`,
    'select * from rowhouse.tenant',
  ])('is out of reach for: %s', async (text) => {
    await expect(asA((db) => db.query(text))).rejects.toMatchObject({ code: 'ERR_STATEMENT_FAILED', sqlState: '42501' })
  })
})

describe('a tenant switch by SQL injection', () => {
  const into = (setting: string, value: string, table: string) =>
    `select (select count(*)::int from ${table} where tenant_id = '${n.b.id}') as n from (select set_config('${setting}', '${value}', true) offset 0) x`

  it('succeeds against the plain setting (positive control)', async () => {
    const { n: leaked } = await asA((db) => db.one<{ n: number }>(into('app.tenant', n.b.id, 'twin')))
    expect(leaked).toBe(3)
  })

  it.each([
    ['empty', () => ''],
    ['the bare tenant id', () => n.b.id],
    ['not even text of the right length', () => 'x'],
    ['a MAC of zeros', () => `${'0'.repeat(64)}${n.b.id}0000000010000011999999999*|`],
    ['a MAC that is no hex', () => `${'z'.repeat(64)}${n.b.id}0000000010000011999999999*|`],
    ['an odd tenant id', () => `${'0'.repeat(64)}${'-'.repeat(36)}0000000010000011999999999*|`],
    ['a quote', () => `${'0'.repeat(64)}''`],
  ])('is refused when the forged seal is %s', async (_name, seal) => {
    const attempt = asA((db) => db.query(into('rowhouse.seal', seal(), 'item')))
    await expect(attempt).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_(ISOLATION_SEAL_REFUSED|TENANT_CONTEXT_MISSING)$/),
    })
  })

  it('is refused when an own seal is changed in one place: tenant, epoch, key, expiry, units, actor', async () => {
    const own = await n.rowhouse.withTenant({ tenant: 'acme', actor: 'user:1', units: [UNIT_1] }, (db) =>
      db.one<{ seal: string }>(`select current_setting('rowhouse.seal') as seal`),
    )
    const places = [0, 63, 64, 99, 100, 108, 109, 114, 115, 124, 125, 130, own.seal.length - 1]
    for (const place of places) {
      const changed = own.seal.slice(0, place) + (own.seal[place] === '1' ? '2' : '1') + own.seal.slice(place + 1)
      await expect(
        asA((db) => db.query(into('rowhouse.seal', changed, 'item'))),
        `position ${place}`,
      ).rejects.toMatchObject({
        code: 'ERR_ISOLATION_SEAL_REFUSED',
      })
    }
  })

  it('does not outlive the statement that tried it', async () => {
    await asA((db) => db.query(`select set_config('rowhouse.seal', current_setting('rowhouse.seal'), false)`))
    const rows = await n.rowhouse.withTenant('globex', (db) =>
      db.many<{ label: string }>('select label from item where id < 4'),
    )
    expect(rows.every((row) => row.label.startsWith('globex'))).toBe(true)
  })
})

describe('the directory', () => {
  it.each([
    `select * from rowhouse.find_tenant('slug', 'globex')`,
    `select * from rowhouse.open_crossing('me', 'because', null, true)`,
    `select rowhouse.close_crossing(gen_random_uuid(), 'done')`,
  ])('is closed to SQL of a tenant: %s', async (text) => {
    await expect(asA((db) => db.query(text))).rejects.toMatchObject({ code: 'ERR_ISOLATION_SEAL_REFUSED' })
  })
})

describe('unit scope', () => {
  const bodies = (units?: string[]) =>
    n.rowhouse.withTenant({ tenant: 'acme', ...(units ? { units } : {}) }, async (db) =>
      (await db.many<{ body: string }>('select body from note order by id')).map((row) => row.body),
    )

  it('shows a manager the own unit, a director all, nobody nothing', async () => {
    expect(await bodies([UNIT_1])).toEqual(['acme1'])
    expect(await bodies([UNIT_1, UNIT_2])).toEqual(['acme1', 'acme2'])
    expect(await bodies()).toEqual(['acme1', 'acme2', 'acme3'])
    expect(await bodies([])).toEqual([])
  })

  it('refuses a row for another unit', async () => {
    const attempt = n.rowhouse.withTenant({ tenant: 'acme', units: [UNIT_1] }, (db) =>
      db.query('insert into note (id, unit_id, body) values (50, $1, $2)', [UNIT_2, 'planted']),
    )
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_ISOLATION_FOREIGN_ROW' })
  })

  it('puts the actor where the database reads it', async () => {
    const row = await n.rowhouse.withTenant({ tenant: 'acme', actor: 'user:7|x' }, (db) =>
      db.one('select rowhouse.current_actor() as actor, rowhouse.current_units() as units'),
    )
    expect(row).toEqual({ actor: 'user:7|x', units: null })
  })
})

describe('without a tenant', () => {
  it('nothing is reached: db, pool, and a raw connection of the same login', async () => {
    const missing = { code: 'ERR_TENANT_CONTEXT_MISSING' }
    await expect(n.rowhouse.db.query('select 1')).rejects.toMatchObject(missing)
    await expect(n.rowhouse.pool.query('select 1')).rejects.toMatchObject(missing)
    await expect(n.rowhouse.pool.connect()).rejects.toMatchObject(missing)
    const { default: pg } = await import('pg')
    const raw = new pg.Client({ connectionString: n.database.appUrl })
    await raw.connect()
    await expect(raw.query('select * from item')).rejects.toMatchObject({
      code: '42501',
      constraint: 'rowhouse_context_missing',
    })
    await expect(raw.query('insert into item values (gen_random_uuid(), 1, $1)', ['x'])).rejects.toMatchObject({
      code: '42501',
    })
    await raw.end()
  })
})
