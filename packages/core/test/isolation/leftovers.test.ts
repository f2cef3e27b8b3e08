import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

/** What SQL injected into one tenant's statement leaves on a shared connection must not reach the next tenant. */
let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours({ lanes: 1, poolSize: 1 })
})
afterAll(() => n.close())

const SETTINGS = [
  ['statement_timeout', '1'],
  ['lock_timeout', '1'],
  ['search_path', 'pg_catalog'],
  ['row_security', 'off'],
  ['default_transaction_read_only', 'on'],
  ['default_transaction_isolation', 'serializable'],
  ['datestyle', 'SQL, DMY'],
  ['timezone', 'Asia/Dubai'],
  ['bytea_output', 'escape'],
  ['extra_float_digits', '-5'],
  ['work_mem', '64kB'],
  ['enable_indexscan', 'off'],
] as const

describe.each(['lane', 'pooled connection'] as const)('on a %s', (where) => {
  // A statement that begins with a comment takes a pooled connection.
  const prefix = where === 'lane' ? '' : '/* pooled */ '

  it.each(SETTINGS)('a session setting is undone: %s', async (name, value) => {
    const [before] = await read(name)
    await n.rowhouse.withTenant('acme', (db) => db.query(`${prefix}select set_config('${name}', '${value}', false)`))
    const [after] = await read(name)
    expect(after).toBe(before)

    async function read(setting: string) {
      return n.rowhouse.withTenant('globex', async (db) => {
        const row = await db.one<{ value: string; rows: number }>(
          `${prefix}select current_setting('${setting}') as value, (select count(*)::int from item) as rows`,
        )
        expect(row.rows).toBe(3)
        return [row.value]
      })
    }
  })

  it.each([
    ['default_transaction_read_only', 'on'],
    ['default_transaction_isolation', 'serializable'],
  ])('the mode of the next transaction is not chosen: %s', async (name, value) => {
    await n.rowhouse.withTenant('globex', (db) => db.query(`${prefix}select 1`))
    const leave = `${prefix}select set_config('${name}', '${value}', false)`
    await n.rowhouse.withTenant('acme', (db) => db.query(leave))
    const write = `${prefix}insert into item (id, label) values (floor(1000 + random() * 1e9)::bigint, current_setting('transaction_isolation')) returning label`
    expect(await n.rowhouse.withTenant('globex', (db) => db.many(write))).toEqual([{ label: 'read committed' }])
    await n.rowhouse.withTenant('acme', (db) =>
      db.transaction(async (tx) => {
        await tx.query(leave)
      }),
    )
    expect(await n.rowhouse.withTenant('globex', (db) => db.many(write))).toEqual([{ label: 'read committed' }])
    await n.inHomes('delete from item where id >= 1000')
  })

  it('a deferred trigger still runs as the tenant of its statement', async () => {
    await n.inHomes(`
      create function count_items() returns trigger language plpgsql as $$
        begin
          if (select count(*) from item) > 100 then raise exception 'too many'; end if;
          return null;
        end $$;
      create constraint trigger counted after insert on item deferrable initially deferred for each row execute function count_items();
      grant execute on function count_items() to rowhouse_app`)
    try {
      const added = await n.rowhouse.withTenant('acme', (db) =>
        db.many(`${prefix}insert into item (id, label) values (999, 'new') returning label`),
      )
      expect(added).toEqual([{ label: 'new' }])
      // A read is not expected to leave such work; where its function does, the statement is run once more with room for it.
      await n.inHomes(`create function add_item(bigint) returns bigint language sql volatile
        as $$ insert into item (id, label) values ($1, 'by function') returning id $$;
        grant execute on function add_item(bigint) to rowhouse_app`)
      const called = await n.rowhouse.withTenant('acme', (db) => db.many(`${prefix}select add_item(998) as id`))
      expect(called).toEqual([{ id: '998' }])
    } finally {
      await n.inHomes('drop function if exists add_item(bigint)')
      await n.inHomes('drop trigger counted on item; drop function count_items(); delete from item where id >= 998')
    }
  })

  it('a session advisory lock is dropped', async () => {
    await n.rowhouse.withTenant('acme', (db) => db.query(`${prefix}select pg_advisory_lock(42)`))
    await n.rowhouse.withTenant('globex', (db) => db.query(`${prefix}select 1`))
    const { admin: lockable } = n.homeOf(n.a)
    const { rows } = await lockable.query(`select pg_try_advisory_lock(42) as free`)
    expect(rows).toEqual([{ free: true }])
    await lockable.query('select pg_advisory_unlock(42)')
  })
})

describe('a statement that can change the connection itself', () => {
  const ATTACKS = [
    'prepare rowhouse_x as select 1',
    'deallocate all',
    'deallocate rowhouse_context',
    `do $$ begin execute 'deallocate rowhouse_context'; end $$`,
    `set search_path = pg_catalog`,
    'reset all',
    'discard plans',
    'declare c cursor with hold for select * from item',
  ]

  it.each(ATTACKS)('gets a connection that no other tenant sees again: %s', async (text) => {
    const pid = async (slug: string) =>
      n.rowhouse.withTenant(slug, (db) =>
        db.transaction((tx) => tx.one<{ pid: number }>('select pg_backend_pid() as pid')),
      )
    const { pid: before } = await pid('acme')
    await n.rowhouse.withTenant('acme', (db) => db.query(text).catch(() => {}))
    const { pid: after } = await pid('globex')
    expect(after).not.toBe(before)
    expect(await n.rowhouse.withTenant('globex', (db) => db.many('select label from item where id = 1'))).toEqual([
      { label: 'globex1' },
    ])
  })
})

describe('positive control', () => {
  it('the same leftovers do reach the next user of a stock pool', async () => {
    const pool = new pg.Pool({ connectionString: n.database.appUrl, max: 1 })
    await pool.query(`select set_config('statement_timeout', '1234', false), pg_advisory_lock(43)`)
    const { rows } = await pool.query(`select current_setting('statement_timeout') as timeout`)
    expect(rows).toEqual([{ timeout: '1234ms' }])
    expect((await n.admin.query('select pg_try_advisory_lock(43) as free')).rows).toEqual([{ free: false }])
    await pool.end()
  })
})
