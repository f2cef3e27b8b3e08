import { createRowhouse, type Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../../../core/test/support/tenants.ts'

/**
 * What one injected SELECT of tenant A still does to tenant B's next statement. Each was found by the grammar of payloads.
 *
 * `it.fails` is what PostgreSQL does not let a library close; SECURITY.md says what to do about each. Where one turns
 * red, it is closed: it becomes `it`, and its line leaves REPORTED in inject.test.ts.
 */
let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours({ lanes: 1, poolSize: 1, directoryTtlMs: 3_600_000 })
})
afterAll(() => n.close())

const WHERE = [
  ['lane', ''],
  ['pooled connection', '/* pooled */ '],
] as const

/** Both tenants are looked up and both connections are open, so that the next statement is the one that is hit. */
async function settle(rowhouse: Rowhouse): Promise<void> {
  for (const slug of ['acme', 'globex']) {
    await rowhouse.withTenant(slug, async (db) => {
      for (const [, prefix] of WHERE) await db.query(`${prefix}select 1`)
    })
  }
}

describe.each(WHERE)('on a %s, the next tenant', (_where, prefix) => {
  const asA = (text: string) => n.rowhouse.withTenant('acme', (db) => db.query(`${prefix}${text}`))
  const asB = (text: string) => n.rowhouse.withTenant('globex', (db) => db.many(`${prefix}${text}`))

  // The mode of a transaction is decided when it begins: what cleans the session has to run before that.
  it('can write', async () => {
    await settle(n.rowhouse)
    await asA(`select set_config('default_transaction_read_only', 'on', false)`)
    const write = `insert into item (id, label) values (floor(random() * 1e9)::bigint, 'written') returning label`
    expect(await asB(write)).toEqual([{ label: 'written' }])
  })

  it('runs READ COMMITTED', async () => {
    await settle(n.rowhouse)
    await asA(`select set_config('default_transaction_isolation', 'serializable', false)`)
    expect(await asB(`select current_setting('transaction_isolation') as level`)).toEqual([{ level: 'read committed' }])
  })

  it.fails('gets random numbers nobody chose (until the seed is made anew)', async () => {
    await settle(n.rowhouse)
    const { rows } = await n.admin.query(`select setseed(0.42)::text as seeded, random() as value`)
    await asA('select setseed(0.42)')
    expect(await asB('select random() as value')).not.toEqual([{ value: rows[0].value }])
  })

  it.fails('reads no sequence number of the tenant before (until sequences are discarded)', async () => {
    await n.admin.query('create sequence if not exists ticket; grant usage on sequence ticket to rowhouse_app')
    await settle(n.rowhouse)
    await asA(`select nextval('ticket')`)
    await expect(asB('select lastval()')).rejects.toMatchObject({
      code: 'ERR_STATEMENT_FAILED',
      message: expect.stringContaining('lastval is not yet defined'),
    })
  })
})

describe('a lock of another tenant', () => {
  // Who knows the key can hold the lock, and the other tenant's work is refused as if it were being moved.
  it('cannot be taken: its key is derived from the root key, and what shows it is closed', async () => {
    for (const source of ['pg_locks', 'pg_lock_status()']) {
      const read = n.rowhouse.withTenant('acme', (db) => db.query(`select * from ${source}`))
      await expect(read).rejects.toMatchObject({ sqlState: '42501' })
    }
  })
})

describe('a login that is a member of rowhouse_app', () => {
  const login = `rowhouse_inject_${Math.floor(Math.random() * 1e9).toString(36)}`
  let rowhouse: Rowhouse
  beforeAll(async () => {
    await n.admin.query(`create role ${login} login password 'member' in role rowhouse_app`)
    const url = new URL(n.database.appUrl)
    url.username = login
    url.password = 'member'
    rowhouse = await createRowhouse({ url: url.href, rootKey: n.database.rootKey, lanes: 1, poolSize: 1 })
    await settle(rowhouse)
  })
  afterAll(async () => {
    await rowhouse.close()
    await n.admin.query(`drop role ${login}`)
  })
  const asA = (text: string) => rowhouse.withTenant('acme', (db) => db.query(text))
  const asB = (text: string) => rowhouse.withTenant('globex', (db) => db.many(text))

  it('is itself again for the next tenant', async () => {
    await asA(`select set_config('role', 'rowhouse_app', false)`)
    expect(await asB('select current_user as login')).toEqual([{ login }])
  })

  it.each([
    'search_path = pg_catalog',
    'row_security = off',
    'statement_timeout = 1',
    'default_transaction_read_only = on',
  ])('may spoil its own default without effect on the next connection: %s', async (setting) => {
    await asA(`alter role session_user set ${setting}`)
    try {
      const rows = await asB(
        `/* pooled */ select label, current_setting('transaction_read_only') as "readOnly" from item where id = 1`,
      )
      expect(rows).toEqual([{ label: 'globex1', readOnly: 'off' }])
    } finally {
      await n.admin.query(`alter role ${login} reset all`)
    }
  })

  // Needs a place that takes whole statements. One such text ends every later transaction of every tenant.
  it.fails('may not end all later connections by its own default (until startup options pin it)', async () => {
    await asA('alter role session_user set transaction_timeout = 1')
    try {
      for (let round = 0; round < 20; round++) {
        expect(await asB('/* pooled */ select label from item where id = 1')).toEqual([{ label: 'globex1' }])
      }
    } finally {
      await n.admin.query(`alter role ${login} reset all`)
    }
  })

  it.each(WHERE)('cannot reach ALTER ROLE from inside a statement on a %s', async (_where, prefix) => {
    const stacked = asA(
      `${prefix}select label from item where label = 'x'; alter role session_user set row_security = off --'`,
    )
    await expect(stacked).rejects.toMatchObject({
      code: 'ERR_STATEMENT_FAILED',
      sqlState: '42601',
      message: expect.stringContaining('cannot insert multiple commands'),
    })
    const { rows } = await n.admin.query('select from pg_db_role_setting where setrole = $1::regrole', [login])
    expect(rows).toEqual([])
  })
})
