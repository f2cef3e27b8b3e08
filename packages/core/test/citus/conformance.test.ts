import type { Rowhouse } from 'rowhouse'
import { parseRootKey } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdminClient } from '../support/admin-client.ts'
import { CITUS_URL, whyCitus } from '../support/citus-cluster.ts'
import { askNodes, type CitusPlatform, createCitusPlatform, SHIPMENTS, UNIT_1 } from './citus-server.ts'

describe.skipIf(CITUS_URL === undefined)(
  `tenants in shared tables of a Citus server (needs ROWHOUSE_TEST_CITUS_URL: ${whyCitus})`,
  () => {
    let platform: CitusPlatform
    let app: Rowhouse
    beforeAll(async () => {
      platform = await createCitusPlatform(3)
      app = await platform.open()
    })
    afterAll(() => platform?.close())

    const idOf = (slug: string) => platform.tenants.find((tenant) => tenant.slug === slug)?.id as string
    const as = <T>(slug: string, fn: Parameters<typeof app.withTenant<T>>[1]) => app.withTenant(slug, fn)

    it('read their own rows, with and without naming themselves', async () => {
      const own = await as('tenant-1', (db) => db.many('select tenant_id, note from shipment order by id'))
      expect(own).toHaveLength(SHIPMENTS)
      expect(new Set(own.map((row) => row.tenant_id))).toEqual(new Set([idOf('tenant-1')]))
      const named = 'select note from shipment where tenant_id = $1 and id = 1'
      expect(await as('tenant-1', (db) => db.many(named, [idOf('tenant-1')]))).toEqual([{ note: 'tenant-1 1' }])
      expect(await as('tenant-1', (db) => db.many(named, [idOf('tenant-2')]))).toEqual([])
    })

    it('join, aggregate, and read reference tables', async () => {
      const text = `select p.name, count(*)::int as n, sum(s.weight)::int as weight
      from shipment s join port p on p.code = s.port_code group by p.name`
      expect(await as('tenant-2', (db) => db.many(text))).toEqual([
        { name: 'Jebel Ali', n: SHIPMENTS, weight: SHIPMENTS },
      ])
    })

    it('write, upsert and delete, with tenant_id filled in', async () => {
      await as('tenant-1', async (db) => {
        await db.query(`insert into shipment (id, note) values (100, 'new')`)
        const upsert = `insert into shipment (id, note) values (100, 'again')
        on conflict (tenant_id, id) do update set note = excluded.note returning tenant_id, note`
        expect(await db.one(upsert)).toEqual({ tenant_id: idOf('tenant-1'), note: 'again' })
        const update = await db.query('update shipment set weight = 5 where tenant_id = $1 and id = 100', [
          idOf('tenant-1'),
        ])
        expect(update.rowCount).toBe(1)
        expect((await db.query('delete from shipment where id = 100')).rowCount).toBe(1)
        await db.query(`insert into leg (shipment_id, note) values (1, 'first'), (1, 'second')`)
        expect(await db.many('delete from shipment where id = 1 returning id')).toEqual([{ id: '1' }])
        expect(await db.many('select note from leg')).toEqual([])
      })
    })

    it('cannot write for others: insert, update of tenant_id, blind update', async () => {
      await expect(
        as('tenant-1', (db) =>
          db.query(`insert into shipment (tenant_id, id, note) values ($1, 200, 'x')`, [idOf('tenant-2')]),
        ),
      ).rejects.toMatchObject({ code: 'ERR_ISOLATION_FOREIGN_ROW' })
      await expect(
        as('tenant-1', (db) => db.query('update shipment set tenant_id = $1 where id = 2', [idOf('tenant-2')])),
      ).rejects.toMatchObject({ code: 'ERR_STATEMENT_FAILED' })
      await as('tenant-1', (db) => db.query('update shipment set weight = 99'))
      await app.withTenant({ tenant: 'tenant-1', units: [UNIT_1] }, (db) => db.query(`update note set body = 'blind'`))
      const { rows } = await platform.coordinator.query(
        `select (select count(*)::int from shipment where tenant_id <> $1 and weight = 99) as shipments,
              (select array_agg(unit_id::text) from note where body = 'blind') as units`,
        [idOf('tenant-1')],
      )
      expect(rows).toEqual([{ shipments: 0, units: [UNIT_1] }])
    })

    it('commit and roll back transactions with savepoints', async () => {
      const kept = await as('tenant-2', (db) =>
        db.transaction(async (tx) => {
          await tx.query(`insert into shipment (id, note) values (300, 'outer')`)
          await expect(
            tx.transaction(async (inner) => {
              await inner.query(`insert into shipment (id, note) values (301, 'inner')`)
              await inner.query(`insert into shipment (id, note) values (300, 'twice')`)
            }),
          ).rejects.toMatchObject({ code: 'ERR_CONSTRAINT_VIOLATED' })
          return tx.many('select id from shipment where id >= 300')
        }),
      )
      expect(kept).toEqual([{ id: '300' }])
      const undone = as('tenant-2', (db) =>
        db.transaction(async (tx) => {
          await tx.query('delete from shipment')
          throw new RangeError('undo')
        }),
      )
      await expect(undone).rejects.toThrow('undo')
      expect(await as('tenant-2', (db) => db.one('select count(*)::int as n from shipment'))).toEqual({
        n: SHIPMENTS + 1,
      })
    })

    it('see errors as elsewhere, and the next statement on the same connection works', async () => {
      const single = await platform.open({ lanes: 0, poolSize: 1 })
      const pids = new Set<number>()
      for (let i = 0; i < 4; i += 1) {
        await single.withTenant('tenant-3', async (db) => {
          await expect(db.query(`insert into shipment (id, note) values (1, 'twice')`)).rejects.toMatchObject({
            code: 'ERR_CONSTRAINT_VIOLATED',
          })
          pids.add((await db.one('select pg_backend_pid() as pid')).pid)
        })
        await single.withTenant('tenant-1', async () => {
          const client = await single.pool.connect()
          await expect(client.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' })
          pids.add((await client.query('select pg_backend_pid() as pid')).rows[0].pid)
          await expect(client.query('select nonsense')).rejects.toMatchObject({ code: '42703' })
          await client.query('begin')
          await client.query(`insert into shipment (id, note) values (400, 'undone')`)
          await client.query('rollback')
          await expect(client.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' })
          await client.query('rollback')
          const { rows } = await client.query('select count(*)::int as n from shipment where id = 400')
          expect(rows).toEqual([{ n: 0 }])
          client.release()
        })
      }
      // An error costs no connection: the block it leaves is ended by the next scope.
      expect(pids.size).toBe(1)
    })

    it('are read-only where they are asked to be', async () => {
      const scope = { tenant: 'tenant-1', readOnly: true }
      await expect(
        app.withTenant(scope, (db) => db.query(`insert into shipment (id, note) values (500, 'x')`)),
      ).rejects.toMatchObject({ code: 'ERR_READ_ONLY' })
      await expect(
        app.withTenant(scope, (db) =>
          db.query(`update shipment set weight = 2 where tenant_id = $1`, [idOf('tenant-1')]),
        ),
      ).rejects.toMatchObject({ code: 'ERR_READ_ONLY' })
      expect(await app.withTenant(scope, (db) => db.one('select count(*)::int as n from note'))).toEqual({ n: 3 })
    })

    it('are cancelled, by timeout and by signal, also on a worker', async () => {
      const slow = 'select count(*) from shipment where tenant_id = $1 and pg_sleep(60) is not null'
      await expect(as('tenant-1', (db) => db.many(slow, [idOf('tenant-1')], { timeoutMs: 300 }))).rejects.toMatchObject(
        {
          code: 'ERR_TIMEOUT',
        },
      )
      const abort = new AbortController()
      const running = as('tenant-1', (db) => db.many(slow, [idOf('tenant-1')], { signal: abort.signal }))
      const sleeping = `select count(*)::int as n from pg_stat_activity where state = 'active' and wait_event = 'PgSleep'`
      const onWorkers = async () => (await askNodes<{ n: number }>(platform, sleeping)).slice(1).some(({ n }) => n > 0)
      running.catch(() => {})
      await expect.poll(onWorkers).toBe(true)
      abort.abort()
      await expect(running).rejects.toMatchObject({ code: 'ERR_STATEMENT_CANCELLED' })
      expect(await as('tenant-1', (db) => db.one('select 1 as one'))).toEqual({ one: 1 })
    })

    it('see the units of their context only', async () => {
      const bodies = (units?: string[]) =>
        app.withTenant({ tenant: 'tenant-2', ...(units === undefined ? {} : { units }) }, (db) =>
          db.many('select body from note order by id'),
        )
      expect(await bodies()).toHaveLength(3)
      expect(await bodies([UNIT_1])).toEqual([{ body: 'tenant-2 1' }])
    })

    it('stream: cursors, COPY TO, batches', async () => {
      await as('tenant-3', async (db) => {
        const batches: number[] = []
        for await (const rows of db.cursor('select id from shipment', [], { batchRows: 8 })) batches.push(rows.length)
        expect(batches).toEqual([8, 8, 4])
        const chunks: Buffer[] = []
        for await (const chunk of await db.copyOut('copy (select note from shipment) to stdout')) chunks.push(chunk)
        const lines = Buffer.concat(chunks).toString().trim().split('\n')
        expect(lines).toHaveLength(SHIPMENTS)
        expect(lines.every((line) => line.startsWith('tenant-3 '))).toBe(true)
      })
    })

    it.each(['repeatable read', 'serializable'] as const)('work under %s', async (isolation) => {
      const count = await as('tenant-3', (db) =>
        db.transaction({ isolation }, (tx) =>
          tx.one('select count(*)::int as n from shipment where tenant_id = $1', [idOf('tenant-3')]),
        ),
      )
      expect(count).toEqual({ n: SHIPMENTS })
    })

    describe('the keys of tenants', () => {
      const RESIDENTS = `select md5(string_agg(r::text, ',' order by tenant_id)) as digest from rowhouse.resident r`

      it('are the same on every node, also after changes', async () => {
        const digests = await askNodes<{ digest: string }>(platform, RESIDENTS)
        expect(new Set(digests.map(({ digest }) => digest)).size).toBe(1)
      })

      it('of a suspended tenant are refused on every node, and accepted again', async () => {
        const { slug, id } = await platform.addTenant('suspended-one')
        expect(await as(slug, (db) => db.many('select id from note'))).toHaveLength(3)
        const setState = (state: string) =>
          platform.coordinator.query('update rowhouse.resident set state = $2 where tenant_id = $1', [id, state])
        await setState('suspended')
        const text = `select count(*)::int as n from rowhouse.accepted_stamp where tenant_id = '${id}'`
        expect(await askNodes(platform, text)).toEqual(platform.nodeUrls.map(() => ({ n: 0 })))
        await expect(as(slug, (db) => db.many('select id from note'))).rejects.toMatchObject({
          code: 'ERR_ISOLATION_SEAL_REFUSED',
        })
        await setState('active')
        expect(await as(slug, (db) => db.many('select id from note'))).toHaveLength(3)
      })

      it('of an old version and of another epoch are looked up again, and the statement sent once more', async () => {
        const { slug, id } = await platform.addTenant('rotated-one')
        const key = parseRootKey(platform.central.rootKey).deriveTenantKey(id as never, 2)
        await as(slug, async (db) => {
          expect(await db.many('select id from note')).toHaveLength(3)
          await platform.coordinator.query(
            'update rowhouse.resident set epoch = 2, key_version = 2, ipad = $2, opad = $3 where tenant_id = $1',
            [id, key.ipad, key.opad],
          )
          // The registry knows nothing yet: refused, and nothing newer is found.
          await expect(db.many('select id from note')).rejects.toMatchObject({ code: 'ERR_ISOLATION_SEAL_REFUSED' })
          await withAdminClient(platform.central.adminUrl, (client) =>
            client.query('update rowhouse.placement set epoch = 2, key_version = 2 where tenant_id = $1', [id]),
          )
          expect(await db.many('select id from note')).toHaveLength(3)
        })
      })

      it('cannot be changed while a node does not answer', async () => {
        const { id } = await platform.addTenant('unreachable-one')
        await platform.coordinator.query('begin')
        await platform.coordinator.query(`update rowhouse.resident set epoch = 5 where tenant_id = $1`, [id])
        // Not committed: no other node has heard of it.
        const epochs = () =>
          askNodes<{ epoch: number }>(platform, `select epoch from rowhouse.resident where tenant_id = '${id}'`)
        expect((await epochs()).map(({ epoch }) => epoch)).toEqual(platform.nodeUrls.map(() => 1))
        await withAdminClient(platform.nodeUrls[1] as string, async (worker) => {
          await worker.query('alter table rowhouse.resident add constraint refuses check (epoch < 5)')
          await expect(platform.coordinator.query('commit')).rejects.toMatchObject({
            code: '58000',
            message: expect.stringContaining('not every node of the server learned who lives here'),
          })
          await worker.query('alter table rowhouse.resident drop constraint refuses')
        })
        expect((await epochs())[0]).toEqual({ epoch: 1 })
        // The same change again makes them equal.
        await platform.coordinator.query(`update rowhouse.resident set epoch = 5 where tenant_id = $1`, [id])
        expect((await epochs()).map(({ epoch }) => epoch)).toEqual(platform.nodeUrls.map(() => 5))
      })
    })

    it('wait for nobody: a tenant that is being moved gets a retryable error', async () => {
      const key = parseRootKey(platform.central.rootKey).deriveLockKey(idOf('tenant-1') as never)
      await platform.coordinator.query('begin')
      await platform.coordinator.query('select pg_advisory_xact_lock($1)', [key])
      await expect(as('tenant-1', (db) => db.many('select id from note'))).rejects.toMatchObject({
        code: 'ERR_TENANT_MOVING',
      })
      await platform.coordinator.query('rollback')
      expect(await as('tenant-1', (db) => db.many('select id from note'))).toHaveLength(3)
    })

    it('are not served through a pooler, or without prepared statements', async () => {
      const unnamed = await platform.open({ preparedStatements: false })
      await expect(unnamed.withTenant('tenant-1', (db) => db.many('select 1'))).rejects.toMatchObject({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining('connect to the coordinator directly'),
      })
    })
  },
)
