import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNeighbours, type Neighbours } from '../support/tenants.ts'

let n: Neighbours
beforeAll(async () => {
  n = await createNeighbours({ poolSize: 4 })
})
afterAll(() => n.close())

const asA = <T>(fn: Parameters<typeof n.rowhouse.withTenant<T>>[1]) => n.rowhouse.withTenant('acme', fn)

describe('transaction()', () => {
  it.each(['read committed', 'repeatable read', 'serializable'] as const)(
    'runs at %s with the wall up',
    async (isolation) => {
      const row = await asA((db) =>
        db.transaction({ isolation }, (tx) =>
          tx.one(
            `select current_setting('transaction_isolation') as isolation, count(*)::int as n, count(distinct tenant_id)::int as tenants from item`,
          ),
        ),
      )
      expect(row).toEqual({ isolation, n: 3, tenants: 1 })
    },
  )

  it('commits what its function resolves with and rolls back what it throws', async () => {
    expect(
      await asA((db) =>
        db.transaction(async (tx) => (await tx.query(`insert into item values (default, 10, 'kept')`)).rowCount),
      ),
    ).toBe(1)
    await expect(
      asA((db) =>
        db.transaction(async (tx) => {
          await tx.query(`insert into item values (default, 11, 'lost')`)
          throw new Error('changed my mind')
        }),
      ),
    ).rejects.toThrow('changed my mind')
    expect(await asA((db) => db.many('select id::int from item where id in (10, 11)'))).toEqual([{ id: 10 }])
  })

  it('undoes a savepoint alone when the inner function throws', async () => {
    const ids = await asA((db) =>
      db.transaction(async (tx) => {
        await tx.query(`insert into item values (default, 20, 'outer')`)
        await tx
          .transaction(async (inner) => {
            await inner.query(`insert into item values (default, 21, 'inner')`)
            await inner.query('select 1 / 0')
          })
          .catch(() => {})
        return tx.many('select id::int from item where id in (20, 21)')
      }),
    )
    expect(ids).toEqual([{ id: 20 }])
  })

  it('refuses another tenant inside, and the same tenant may nest', async () => {
    const attempt = asA((db) =>
      db.transaction(() => n.rowhouse.withTenant('globex', (other) => other.query('select 1'))),
    )
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_TENANT_CONTEXT_MISMATCH',
      message: 'Cannot enter tenant "globex" inside a transaction of another tenant: end the transaction first',
    })
    await asA((db) => db.transaction(() => n.rowhouse.withTenant('acme', (same) => same.query('select 1'))))
  })

  it('refuses writes when read-only', async () => {
    const attempt = asA((db) => db.transaction({ readOnly: true }, (tx) => tx.query('delete from item')))
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_READ_ONLY' })
    const injected = n.rowhouse.withTenant({ tenant: 'acme', readOnly: true }, (db) =>
      db.query(
        `with x as (select set_config('transaction_read_only', 'off', true)) delete from item where exists (select from x)`,
      ),
    )
    await expect(injected).rejects.toMatchObject({ code: 'ERR_READ_ONLY' })
  })

  it('reports a serialization failure as a conflict that may be tried again', async () => {
    const update = (gate: Promise<unknown>, ready: () => void) =>
      asA((db) =>
        db.transaction({ isolation: 'repeatable read' }, async (tx) => {
          await tx.query('select count(*) from item')
          ready()
          await gate
          await tx.query(`update item set label = 'x' where id = 1`)
        }),
      )
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let readers = 0
    const ready = () => {
      readers += 1
      if (readers === 2) go()
    }
    const outcomes = await Promise.allSettled([update(gate, ready), update(gate, ready)])
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    expect(failed).toMatchObject({ reason: { code: 'ERR_TRANSACTION_CONFLICT', retryable: true } })
  })

  it('refuses an isolation level that does not exist', async () => {
    await expect(asA((db) => db.transaction({ isolation: 'chaos' as never }, async () => {}))).rejects.toThrow(
      TypeError,
    )
  })

  it('is unusable after its end', async () => {
    const leaked = await asA((db) => db.transaction(async (tx) => tx))
    await expect(asA(() => leaked.query('select 1'))).rejects.toMatchObject({ code: 'ERR_STATEMENT_REFUSED' })
  })
})

describe('rowhouse.pool', () => {
  it('scopes a block that a driver opens by itself, also when it sets the isolation level after BEGIN', async () => {
    await asA(async () => {
      const client = await n.rowhouse.pool.connect()
      await client.query('BEGIN')
      await client.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')
      const { rows } = await client.query(
        `select current_setting('transaction_isolation') as level, count(distinct tenant_id)::int as tenants from item`,
      )
      expect(rows).toEqual([{ level: 'serializable', tenants: 1 }])
      await client.query('SAVEPOINT s')
      await client.query('ROLLBACK TO SAVEPOINT s')
      expect((await client.query('select count(distinct tenant_id)::int as tenants from item')).rows).toEqual([
        { tenants: 1 },
      ])
      await client.query('COMMIT')
      expect((await client.query('select count(distinct tenant_id)::int as tenants from item')).rows).toEqual([
        { tenants: 1 },
      ])
      client.release()
    })
  })

  it.each([
    ['begin', 'commit'],
    ['/* app:web */ begin', '/* app:web */ commit'],
    ['-- name: start\nstart transaction', '-- name: end\nend'],
    ['/* a /* b */ -- */ /**/\n-- c\n begin', 'rollback /* d */'],
  ])('scopes a block that a driver opens by %j and ends by %j', async (begin, end) => {
    const seen = await n.rowhouse.withTenant('acme', async () => {
      const client = await n.rowhouse.pool.connect()
      try {
        await client.query(begin)
        const { rows } = await client.query('select distinct tenant_id from item')
        await client.query(end)
        return rows
      } finally {
        client.release()
      }
    })
    expect(seen).toEqual([{ tenant_id: n.a.id }])
  })

  it('refuses a connection kept from another tenant, and one given back', async () => {
    const kept = await asA(() => n.rowhouse.pool.connect())
    await expect(n.rowhouse.withTenant('globex', () => kept.query('select * from item'))).rejects.toMatchObject({
      code: 'ERR_TENANT_CONTEXT_MISMATCH',
      message: expect.stringContaining('checked out for another tenant'),
    })
    await expect(kept.query('select * from item')).rejects.toMatchObject({ code: 'ERR_TENANT_CONTEXT_MISSING' })
    kept.release()
    await expect(asA(() => kept.query('select * from item'))).rejects.toMatchObject({
      code: 'ERR_TENANT_CONTEXT_MISMATCH',
    })
    expect(() => kept.release()).toThrow('already been released')
  })

  it('closes a connection given back inside a transaction', async () => {
    const pid = await asA(async () => {
      const client = await n.rowhouse.pool.connect()
      await client.query('BEGIN')
      const { rows } = await client.query('select pg_backend_pid() as pid')
      client.release()
      return rows[0].pid
    })
    await expect
      .poll(
        async () =>
          (await n.admin.query('select count(*)::int as n from pg_stat_activity where pid = $1', [pid])).rows[0].n,
      )
      .toBe(0)
  })

  it('refuses callbacks, LISTEN, chained transactions and cursors outside of a transaction, each with the reason', async () => {
    await asA(async () => {
      expect(() => n.rowhouse.pool.query('select 1', () => {})).toThrow(
        expect.objectContaining({ code: 'ERR_STATEMENT_REFUSED' }),
      )
      await expect(n.rowhouse.pool.query('listen news')).rejects.toMatchObject({
        code: 'ERR_STATEMENT_REFUSED',
        message: expect.stringContaining('channels have no tenants'),
      })
      const { default: Cursor } = await import('pg-cursor')
      const client = await n.rowhouse.pool.connect()
      expect(() => client.query(new Cursor('select 1'))).toThrow(
        expect.objectContaining({ code: 'ERR_STATEMENT_REFUSED' }),
      )
      await expect(client.query('commit and chain')).rejects.toMatchObject({ code: 'ERR_STATEMENT_REFUSED' })
      client.release()
    })
  })
})

describe('large reads', () => {
  it('cursor() reads own rows in batches and ends when the loop is left', async () => {
    const sizes: number[] = []
    await asA(async (db) => {
      for await (const rows of db.cursor('select g from generate_series(1, $1::int) g', [2500], { batchRows: 1000 }))
        sizes.push(rows.length)
      for await (const _ of db.cursor('select g from generate_series(1, 5000) g')) break
    })
    expect(sizes).toEqual([1000, 1000, 500])
  })

  it('copyOut() streams own rows and refuses anything but COPY … TO STDOUT', async () => {
    const text = await asA(async (db) => {
      const chunks: Buffer[] = []
      for await (const chunk of await db.copyOut('copy (select tenant_id from item) to stdout'))
        chunks.push(chunk as Buffer)
      return Buffer.concat(chunks).toString()
    })
    expect(new Set(text.trim().split('\n'))).toEqual(new Set([n.a.id]))
    await expect(asA((db) => db.copyOut('select 1'))).rejects.toMatchObject({ code: 'ERR_STATEMENT_REFUSED' })
  })
})

describe('limits of one statement', () => {
  it('timeoutMs ends it in the database', async () => {
    const attempt = asA((db) => db.query('select pg_sleep(20)', [], { timeoutMs: 50 }))
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_TIMEOUT', retryable: true })
    await expect(asA((db) => db.query('select 1', [], { timeoutMs: 0 }))).rejects.toThrow(RangeError)
  })

  it('an AbortSignal cancels it in the database, running, waiting or not yet sent', async () => {
    const gone = async () =>
      (
        await n.admin.query(
          `select count(*)::int as n from pg_stat_activity where state = 'active' and query like '%pg_sleep(19)%' and pid <> pg_backend_pid()`,
        )
      ).rows[0].n
    const controller = new AbortController()
    const running = asA((db) => db.query('select pg_sleep(19)', [], { signal: controller.signal }))
    await expect.poll(gone).toBe(1)
    controller.abort()
    await expect(running).rejects.toMatchObject({ code: 'ERR_STATEMENT_CANCELLED' })
    await expect.poll(gone).toBe(0)
    await expect(asA((db) => db.query('select 1', [], { signal: AbortSignal.abort() }))).rejects.toMatchObject({
      code: 'ERR_STATEMENT_CANCELLED',
    })
    const transaction = new AbortController()
    const block = asA((db) => db.transaction({ signal: transaction.signal }, (tx) => tx.query('select pg_sleep(19)')))
    await expect.poll(gone).toBe(1)
    transaction.abort()
    await expect(block).rejects.toMatchObject({ code: 'ERR_STATEMENT_CANCELLED' })
  })
})

describe('results', () => {
  it('one() and maybeOne() say how many rows they found', async () => {
    await expect(asA((db) => db.one('select 1 where false'))).rejects.toMatchObject({
      code: 'ERR_ROW_COUNT',
      message: 'Cannot return the result of one(): found 0 rows, wanted exactly one',
    })
    await expect(asA((db) => db.maybeOne('select generate_series(1, 2)'))).rejects.toMatchObject({
      code: 'ERR_ROW_COUNT',
    })
    expect(await asA((db) => db.maybeOne('select 1 where false'))).toBeUndefined()
  })

  it('a constraint violation is typed and carries no values', async () => {
    const attempt = asA((db) => db.query(`insert into item values (default, 1, 'twice')`))
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_CONSTRAINT_VIOLATED',
      sqlState: '23505',
      constraint: { kind: 'unique', name: 'item_pkey', table: 'item' },
      message: expect.not.stringContaining('twice'),
    })
  })
})
