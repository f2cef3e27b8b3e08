import type { Rowhouse, ScopedDb } from 'rowhouse'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PGBOUNCER, startBouncer } from '../pooler/pgbouncer.ts'
import { serverMajor } from '../support/database.ts'
import { createReplicated, type Replicated } from './replicated.ts'

/** A streaming replica made from the npm binaries; replay is paused where a test needs lag. */
let r: Replicated
let rowhouse: Rowhouse
beforeAll(async () => {
  r = await createReplicated(serverMajor(), 20)
  rowhouse = await r.open()
})
beforeEach(async () => {
  await r.replica.resumeReplay()
})
afterAll(() => r.close())

const WHERE = 'select pg_is_in_recovery() as replica'
const read = <T>(tenant: string, fn: (db: ScopedDb) => Promise<T>, more: object = {}, on: Rowhouse = rowhouse) =>
  on.withTenant({ tenant, reads: 'replica', ...more }, fn)
/** Reads on the replica until one is answered there: the first one after a write may come before it arrived. */
const onReplica = (tenant = 'tenant-0', on: Rowhouse = rowhouse) =>
  expect.poll(() => read(tenant, (db) => db.one(WHERE), {}, on)).toEqual({ replica: true })

describe('a read that may go to a replica', () => {
  it('goes to one that has caught up', () => onReplica())

  it('goes to the primary unless somebody says otherwise', async () => {
    await rowhouse.withTenant('tenant-0', async (db) => {
      expect(await db.one(WHERE)).toEqual({ replica: false })
      await expect.poll(() => db.one(WHERE, [], { reads: 'replica' })).toEqual({ replica: true })
    })
    await read('tenant-0', async (db) => {
      expect(await db.one(WHERE, [], { reads: 'primary' })).toEqual({ replica: false })
    })
  })

  it('follows the scope through rowhouse.db and rowhouse.pool', async () => {
    await onReplica()
    await expect
      .poll(() =>
        read('tenant-0', async () => [await rowhouse.db.one(WHERE), (await rowhouse.pool.query(WHERE)).rows[0]]),
      )
      .toEqual([{ replica: true }, { replica: true }])
  })

  it('sees what this process wrote: with replay paused it goes to the primary', async () => {
    await onReplica()
    await r.replica.pauseReplay()
    await read('tenant-0', async (db) => {
      await db.query(`update item set label = 'mine' where id = 1`)
      expect(await db.one(`select label, pg_is_in_recovery() as replica from item where id = 1`)).toEqual({
        label: 'mine',
        replica: false,
      })
      await db.transaction((tx) => tx.query(`update item set label = 'mine too' where id = 2`))
      expect(await db.one('select label from item where id = 2')).toEqual({ label: 'mine too' })
    })
    // Another tenant, with a lag allowed that the pause has not reached, is not held up by those writes.
    await read('tenant-1', async (db) => expect(await db.one(WHERE)).toEqual({ replica: true }), { maxLagMs: 600_000 })
    await r.replica.resumeReplay()
    await expect
      .poll(() =>
        read('tenant-0', (db) => db.one(`select label, pg_is_in_recovery() as replica from item where id = 1`)),
      )
      .toEqual({ label: 'mine', replica: true })
  })

  it('would show old rows without the position (positive control)', async () => {
    await r.replica.pauseReplay()
    await rowhouse.withTenant('tenant-2', (db) => db.query(`update item set label = 'new' where id = 1`))
    const { rows } = await r.replica.query(`select label from item where id = 1 and tenant_id = '${r.tenants[2]?.id}'`)
    expect(rows).toEqual([{ label: 'tenant-2' }])
    const shown = await read('tenant-2', (db) => db.one('select label from item where id = 1'))
    expect(shown).toEqual({ label: 'new' })
  })

  it('sees what another process wrote, by its token', async () => {
    const writer = await r.open()
    await onReplica('tenant-3')
    await r.replica.pauseReplay()
    await writer.withTenant('tenant-3', (db) => db.query(`update item set label = 'theirs' where id = 1`))
    const after = await writer.writeToken('tenant-3')
    expect(after).toMatch(/^w1\.\d+\.[0-9a-f]+$/)
    const text = 'select label, pg_is_in_recovery() as replica from item where id = 1'
    const far = { maxLagMs: 600_000 }
    expect(await read('tenant-3', (db) => db.one(text), far)).toEqual({ label: 'tenant-3', replica: true })
    expect(await read('tenant-3', (db) => db.one(text), { ...far, after })).toEqual({ label: 'theirs', replica: false })
    await r.replica.resumeReplay()
    await expect
      .poll(() => read('tenant-3', (db) => db.one(text), { ...far, after }))
      .toEqual({ label: 'theirs', replica: true })
    await writer.close()
  })

  it.each([
    ['no token', 'garbage; drop table item'],
    ['another cluster', 'w1.1.ffffffff'],
    ['a position never reached', undefined],
  ])('takes a token of %s for one made now, and serves on', async (_title, given) => {
    const { rows } = await r.admin.query('select system_identifier::text as id from pg_control_system()')
    const after = given ?? `w1.${rows[0].id}.ffffffffffffffff`
    await expect.poll(() => read('tenant-4', (db) => db.one(WHERE), { after })).toEqual({ replica: true })
    await r.replica.pauseReplay()
    const elsewhere = await r.open()
    await elsewhere.withTenant('tenant-4', (db) => db.query(`update item set label = 'now' where id = 1`))
    await elsewhere.close()
    const shown = await read('tenant-4', (db) => db.one('select label from item where id = 1'), {
      after,
      maxLagMs: 600_000,
    })
    expect(shown).toEqual({ label: 'now' })
  })

  it('sees nothing older than it may lag, whoever wrote', async () => {
    await onReplica('tenant-5')
    await r.replica.pauseReplay()
    await r.admin.query(`update item set label = 'now' where tenant_id = $1`, [r.tenants[5]?.id])
    const shown = (maxLagMs: number) =>
      read('tenant-5', (db) => db.one('select label from item where id = 1'), { maxLagMs })
    expect(await shown(600_000)).toEqual({ label: 'tenant-5' })
    expect(await shown(0)).toEqual({ label: 'now' })
    await expect.poll(() => shown(100)).toEqual({ label: 'now' })
  })

  it('goes to a replica of an idle primary however long nothing was written', async () => {
    await onReplica()
    // The strictest bound there is: by the clock of its last transaction the replica would be late all the time.
    await expect.poll(() => read('tenant-0', (db) => db.one(WHERE), { maxLagMs: 0 })).toEqual({ replica: true })
  })
})

describe('what does not go to a replica', () => {
  it('writes, WITH, transactions, cursors', async () => {
    await onReplica('tenant-6')
    await read('tenant-6', async (db) => {
      expect(
        await db.one(`insert into item (id, label) values (10, 'x') returning pg_is_in_recovery() as replica`),
      ).toEqual({ replica: false })
      expect(await db.one(`with w as (select 1) ${WHERE}`)).toEqual({ replica: false })
      expect(await db.transaction((tx) => tx.one(WHERE))).toEqual({ replica: false })
      for await (const batch of db.cursor(WHERE)) expect(batch).toEqual([{ replica: false }])
      await expect(db.transaction((tx) => tx.one(WHERE, [], { reads: 'replica' }))).rejects.toThrow(
        'Cannot read from a replica inside a transaction',
      )
    })
    const { rows } = await r.admin.query('select count(*)::int as n from item where id = 10')
    expect(rows).toEqual([{ n: 1 }])
  })

  it('a SELECT that writes through a function: once refused, it goes to the primary and counts as a write', async () => {
    await onReplica('tenant-7')
    await r.replica.pauseReplay()
    await read('tenant-7', async (db) => {
      for (const id of [20, 21]) {
        expect(await db.one('select count_up($1)::int as id', [id])).toEqual({ id })
        expect(await db.one('select label from item where id = $1', [id])).toEqual({ label: 'counted' })
      }
    })
    await expect(read('tenant-7', (db) => db.query('select count_up(22)'), { readOnly: true })).rejects.toMatchObject({
      code: 'ERR_READ_ONLY',
    })
  })

  it('a mistake of the statement, which is answered by the replica alone', async () => {
    await onReplica('tenant-8')
    const before = rowhouse.usage.snapshot().find(({ slug }) => slug === 'tenant-8')?.errors ?? 0
    await expect(read('tenant-8', (db) => db.query('select 1 / 0'))).rejects.toMatchObject({ sqlState: '22012' })
    expect(rowhouse.usage.snapshot().find(({ slug }) => slug === 'tenant-8')?.errors).toBe(before + 1)
  })

  it('a table the replica has not heard of', async () => {
    await onReplica('tenant-8')
    await r.replica.pauseReplay()
    await r.admin.query('create table fresh (a int); grant select on fresh to rowhouse_app')
    const shown = await read('tenant-8', (db) => db.many('select * from fresh'), { maxLagMs: 600_000 })
    expect(shown).toEqual([])
    await r.admin.query('drop table fresh')
  })
})

describe('isolation on a replica', () => {
  it('gives 20 tenants at once their own rows and no others, writes, errors and lag mixed in', async () => {
    let wrong = 0
    let there = 0
    let turn = 0
    const worker = async () => {
      while (turn < 2_000) {
        const mine = turn++
        const tenant = r.tenants[mine % 20]
        if (mine === 800) await r.replica.query('select pg_wal_replay_pause()')
        if (mine === 1_200) await r.replica.query('select pg_wal_replay_resume()')
        await read(tenant?.slug ?? '', async (db) => {
          if (mine % 50 === 0)
            await db.query(`insert into item (id, label) values ($1, $2)`, [1_000 + mine, `v${mine}`])
          if (mine % 31 === 0) await db.query('select 1 / 0').catch(() => {})
          const rows = await db.many<{ id: string; label: string; replica: boolean; n: number }>(
            'select tenant_id::text as id, label, pg_is_in_recovery() as replica, $1::int as n from item',
            [mine],
          )
          if (rows.length < 3 || rows.some((row) => row.id !== tenant?.id || row.n !== mine)) wrong++
          if (mine % 50 === 0 && !rows.some(({ label }) => label === `v${mine}`)) wrong++
          if (rows[0]?.replica === true) there++
        })
      }
    }
    await Promise.all(Array.from({ length: 20 }, worker))
    expect(wrong).toBe(0)
    expect(there).toBeGreaterThan(400)
  })

  it('the same reads without policies do show others (positive control)', async () => {
    const { rows } = await r.replica.query('select count(distinct tenant_id)::int as n from item')
    expect(rows).toEqual([{ n: 20 }])
  })

  it('refuses a forged seal, as the primary does', async () => {
    await onReplica('tenant-9')
    const forged = `select * from item, (select set_config('rowhouse.seal', 'x', true) offset 0) x`
    await expect(read('tenant-9', (db) => db.query(forged))).rejects.toMatchObject({
      code: 'ERR_ISOLATION_SEAL_REFUSED',
    })
  })

  it('cannot be talked out of its position by a setting left in the session or the role', async () => {
    await onReplica('tenant-10')
    await r.admin.query(`alter role rowhouse_app set rowhouse.replica_lagging = '1'`)
    await r.replica.catchUp()
    const fresh = await r.open()
    const poisoned = `select current_setting('rowhouse.replica_lagging', true) as set, pg_is_in_recovery() as replica`
    await expect.poll(() => read('tenant-10', (db) => db.one(poisoned), {}, fresh)).toEqual({ set: '1', replica: true })
    await r.replica.pauseReplay()
    await fresh.withTenant('tenant-10', (db) => db.query(`update item set label = 'new' where id = 1`))
    const shown = await read('tenant-10', (db) => db.one('select label from item where id = 1'), {}, fresh)
    expect(shown).toEqual({ label: 'new' })
    await r.admin.query('alter role rowhouse_app reset rowhouse.replica_lagging')
    await fresh.close()
  })

  it('refuses a tenant of an old epoch: the primary decides, and the tenant is looked up again', async () => {
    await onReplica('tenant-11')
    await r.replica.pauseReplay()
    const id = r.tenants[11]?.id
    // As a move does it: the old seal is void on the primary, and the replica does not know yet.
    await r.admin.query('update rowhouse.resident set epoch = epoch + 1 where tenant_id = $1', [id])
    await r.admin.query('update rowhouse.placement set epoch = epoch + 1 where tenant_id = $1', [id])
    await r.admin.query(`update item set label = 'moved' where tenant_id = $1 and id = 1`, [id])
    const text = 'select label from item where id = 1'
    const shown = (maxLagMs: number) => read('tenant-11', (db) => db.one(text), { maxLagMs })
    // The window is the lag allowed, and no longer.
    expect(await shown(600_000)).toEqual({ label: 'tenant-11' })
    expect(await shown(0)).toEqual({ label: 'moved' })
    await r.replica.resumeReplay()
    await expect.poll(() => read('tenant-11', (db) => db.one(WHERE))).toEqual({ replica: true })
  })
})

describe.skipIf(PGBOUNCER === undefined)('through PgBouncer before the replica (needs pgbouncer)', () => {
  it('reads own rows at the right position', async () => {
    const login = new URL(r.replica.url)
    login.username = 'rowhouse_app'
    login.password = 'replica-test'
    const settings = ['pool_mode = transaction', 'default_pool_size = 2']
    const bouncer = await startBouncer({ binary: PGBOUNCER, target: login.href, settings })
    await r.register(bouncer.url('postgres'))
    const pooled = await r.open()
    await onReplica('tenant-12', pooled)
    const rows = await read('tenant-12', (db) => db.many('select distinct tenant_id::text as id from item'), {}, pooled)
    expect(rows).toEqual([{ id: r.tenants[12]?.id }])
    await r.replica.pauseReplay()
    await read(
      'tenant-12',
      async (db) => {
        await db.query(`update item set label = 'new' where id = 1`)
        expect(await db.one('select label from item where id = 1')).toEqual({ label: 'new' })
        expect(await db.one(`select current_setting('search_path') as path`)).toEqual({ path: 'public,pg_temp' })
      },
      {},
      pooled,
    )
    await pooled.close()
    await bouncer.stop()
    await r.register(r.replica.url)
  })
})

describe('bad options', () => {
  it('are refused with what is wanted', async () => {
    const enter = (more: object) => read('tenant-0', async () => {}, more)
    await expect(enter({ maxLagMs: -1 })).rejects.toThrow(
      'Cannot let replicas lag -1 ms: wanted a whole number from 0 to',
    )
    await expect(enter({ after: 7 })).rejects.toThrow('Cannot read after this: wanted a token of writeToken()')
    await expect(enter({ reads: 'secondary' })).rejects.toThrow(
      `Cannot read from "secondary": wanted 'primary' or 'replica'`,
    )
    await expect(
      rowhouse.withTenant('tenant-0', (db) => db.query('select 1', [], { reads: 'both' as 'primary' })),
    ).rejects.toThrow(`Cannot read from "both"`)
    await expect(rowhouse.writeToken()).rejects.toMatchObject({ code: 'ERR_TENANT_CONTEXT_MISSING' })
    await expect(rowhouse.writeToken('nobody')).rejects.toMatchObject({ code: 'ERR_TENANT_NOT_FOUND' })
  })
})
