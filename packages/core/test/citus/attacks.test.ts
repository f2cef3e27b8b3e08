import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { installCitus, parseRootKey, protect } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sealer } from '../../src/seal/seal.ts'
import { urlOf, withAdminClient } from '../support/admin-client.ts'
import { CITUS_URL, whyCitus } from '../support/citus-cluster.ts'
import { type CitusPlatform, type CitusTenant, createCitusPlatform, SHIPMENTS } from './citus-server.ts'

const TENANTS = 20
const REFUSED = '42501'

describe.skipIf(CITUS_URL === undefined)(
  `attacks on tenants of a Citus server (needs ROWHOUSE_TEST_CITUS_URL: ${whyCitus})`,
  () => {
    let platform: CitusPlatform
    let victim: CitusTenant
    let attacker: CitusTenant
    beforeAll(async () => {
      platform = await createCitusPlatform(TENANTS)
      ;[victim, attacker] = platform.tenants as [CitusTenant, CitusTenant]
    })
    afterAll(() => platform?.close())

    /** Changes something as superuser on every node for the time of `fn`, and takes it back. */
    async function weakened<T>(weaken: string, mend: string, fn: () => Promise<T>): Promise<T> {
      const everywhere = async (text: string) => {
        for (const url of platform.nodeUrls) {
          await withAdminClient(url, async (client) => {
            await client.query('set citus.enable_ddl_propagation = off')
            await client.query(text)
          })
        }
      }
      await everywhere(weaken)
      try {
        return await fn()
      } finally {
        await everywhere(mend)
      }
    }

    /** A connection of the application's login that nobody guards: what injected SQL and a stolen password amount to. */
    async function withLogin<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
      const client = new pg.Client({ connectionString: url, options: '-c citus.propagate_set_commands=local' })
      client.on('error', () => {})
      await client.connect()
      try {
        return await fn(client)
      } finally {
        await client.end()
      }
    }
    const workerUrl = (n: number) =>
      urlOf(platform.nodeUrls[n] as string, new URL(platform.coordinatorUrl).pathname.slice(1), {
        user: 'rowhouse_app',
        password: platform.central.appPassword,
      })

    function sealOf({ id, slug }: CitusTenant): { readonly key: string; readonly text: string } {
      const sealer = new Sealer(parseRootKey(platform.central.rootKey))
      const placement = { server: 'citus-1', model: 'pooled', database: undefined, schema: undefined } as const
      const tenant = { id, slug, state: 'active', plan: 'standard', placement, epoch: 1, keyVersion: 1 } as never
      const { text } = sealer.seal({
        tenant,
        actor: undefined,
        units: undefined,
        readOnly: false,
        timeoutMs: undefined,
      })
      return { key: sealer.lockKey(tenant), text }
    }
    const seals = new Map<CitusTenant, ReturnType<typeof sealOf>>()
    async function enter(client: pg.Client, tenant: CitusTenant): Promise<void> {
      const seal = seals.get(tenant) ?? sealOf(tenant)
      seals.set(tenant, seal)
      await client.query('begin')
      await client.query('select rowhouse.enter($1, $2)', [seal.key, seal.text])
    }

    describe('3,200 interleaved statements of 20 tenants, each ninth failing', () => {
      interface Tally {
        readonly answered: number
        readonly failed: number
        readonly foreign: number
      }

      async function load(lanes: number): Promise<Tally> {
        const app = await platform.open({ lanes, poolSize: 2, tripwire: 'off' })
        const tally = { answered: 0, failed: 0, foreign: 0 }
        const work = Array.from({ length: 3_200 }, (_, i) => i).values()
        const failures = [
          'select 1 / 0 from shipment where tenant_id = $1',
          `insert into shipment (tenant_id, id, note) values ($1, 1, 'twice')`,
        ]
        const worker = async () => {
          for (const i of work) {
            const { id, slug } = platform.tenants[(i * 7) % TENANTS] as CitusTenant
            await app.withTenant(slug, async (db) => {
              if (i % 9 === 0) {
                await db.query(failures[i % 2] as string, [id]).catch(() => {
                  tally.failed++
                })
                return
              }
              // By its own shard, and by those of everybody.
              const rows = await db.many(
                `select note from shipment where ${i % 4 === 0 ? '$1::uuid is not null' : 'tenant_id = $1'}`,
                [id],
              )
              tally.answered++
              if (rows.length !== SHIPMENTS || rows.some(({ note }) => !note.startsWith(`${slug} `))) tally.foreign++
            })
          }
        }
        await Promise.all(Array.from({ length: 48 }, worker))
        await app.close()
        return tally
      }

      const EXPECTED = { answered: 2_844, failed: 356, foreign: 0 }

      it('on lanes: each is answered with its own rows, or with its own error', async () => {
        expect(await load(1)).toEqual(EXPECTED)
      })

      it('on two connections: likewise', async () => {
        expect(await load(0)).toEqual(EXPECTED)
      })

      it('control: with a policy that lets everything through, foreign rows are seen', async () => {
        const alter = (condition: string) =>
          platform.coordinator.query(`alter policy rowhouse_tenant on shipment using (${condition})`)
        await alter('true')
        const { foreign } = await load(1).finally(() => alter('tenant_id = rowhouse.tenant_id()'))
        expect(foreign).toBeGreaterThan(500)
      })
    })

    describe('a restrictive policy, which Citus makes permissive on the shards', () => {
      const read = async () => {
        const app = await platform.open({ tripwire: 'off' })
        return app.withTenant(attacker.slug, (db) => db.many('select distinct tenant_id from note'))
      }

      it('opens the table (control), is a fault in the plan, and protect() takes it away', async () => {
        const { coordinator } = platform
        for (const text of [
          'drop policy rowhouse_unit on note',
          'create policy rowhouse_tenant on note as permissive using (tenant_id = rowhouse.tenant_id())',
          'create policy rowhouse_unit on note as restrictive using (rowhouse.sees_unit(unit_id))',
        ]) {
          await coordinator.query(text)
        }
        expect((await read()).length).toBe(TENANTS)
        const { rows } = await coordinator.query(
          `select message from rowhouse.plan_protect('note', true) where kind = 'change' order by step`,
        )
        expect(rows.map(({ message }) => message.replace('public.', ''))).toEqual([
          'policy rowhouse_unit on note',
          'policy rowhouse_unit on note',
          'no policy rowhouse_tenant beside the one on note',
        ])
        await coordinator.query(`select rowhouse.protect('note', true)`)
        expect(await read()).toEqual([{ tenant_id: attacker.id }])
      })

      it('of another name is refused by protect()', async () => {
        const { coordinator } = platform
        await coordinator.query('create policy later on note as restrictive using (body is not null)')
        await expect(coordinator.query(`select rowhouse.protect('note', true)`)).rejects.toMatchObject({
          constraint: 'rowhouse_unprotectable',
        })
        await coordinator.query('drop policy later on note')
        expect(await read()).toEqual([{ tenant_id: attacker.id }])
      })

      it('is not what the shards have: each has the one policy of its table, and FORCE', async () => {
        const text = `select count(*)::int as shards, count(*) filter (where c.relrowsecurity and c.relforcerowsecurity
           and 1 = (select count(*) from pg_policy p where p.polrelid = c.oid and p.polpermissive
                     and pg_get_expr(p.polqual, c.oid) like '%tenant_id = rowhouse.tenant_id()%'
                     and pg_get_expr(p.polwithcheck, c.oid) = pg_get_expr(p.polqual, c.oid)))::int as walled
        from pg_class c where c.relkind = 'r' and c.relname ~ '^(shipment|leg|note)_[0-9]+$'`
        for (const url of platform.nodeUrls.slice(1)) {
          const { shards, walled } = await withAdminClient(url, async (client) => {
            await client.query('set citus.override_table_visibility = off')
            return (await client.query<{ shards: number; walled: number }>(text)).rows[0] as {
              shards: number
              walled: number
            }
          })
          expect(shards).toBeGreaterThan(0)
          expect(walled).toBe(shards)
        }
      })
    })

    describe('the seal of another tenant in pg_stat_activity of a worker', () => {
      /** Looks for the victim's seal while the victim works; returns how often it was seen. */
      async function look(): Promise<number> {
        let hits = 0
        await withLogin(platform.appUrl, async (working) => {
          await withLogin(workerUrl(1), async (watching) => {
            const deadline = Date.now() + 20_000
            const { text } = sealOf(victim)
            const visible = text.slice(64, 100)
            while (hits === 0 && Date.now() < deadline) {
              await enter(working, victim)
              const running = working.query('select count(*) from shipment')
              running.catch(() => {})
              const { rows } = await watching.query(
                `select count(*)::int as n from pg_stat_get_activity(null) where query like '%' || $1 || '%' and pid <> pg_backend_pid()`,
                [visible],
              )
              hits += rows[0].n
              await running
              await working.query('rollback')
            }
          })
        })
        return hits
      }

      it('is not to be read', async () => {
        await expect(look()).rejects.toMatchObject({ code: REFUSED })
        await expect(
          withLogin(workerUrl(1), (client) => client.query('select query from pg_stat_activity')),
        ).rejects.toMatchObject({ code: REFUSED })
        const app = await platform.open()
        await expect(
          app.withTenant(attacker.slug, (db) =>
            db.many(
              `select (select string_agg(query, '') from pg_stat_get_activity(null)) from shipment where tenant_id = $1`,
              [attacker.id],
            ),
          ),
        ).rejects.toMatchObject({ sqlState: REFUSED })
      })

      it('control: is read where everybody may look', async () => {
        const f = 'pg_catalog.pg_stat_get_activity(integer)'
        const hits = await weakened(
          `grant execute on function ${f} to public`,
          `revoke execute on function ${f} from public`,
          look,
        )
        expect(hits).toBeGreaterThan(0)
      })
    })

    describe('functions of Citus', () => {
      const commands = [
        `select * from run_command_on_workers('select 1')`,
        `select * from run_command_on_all_nodes('select 1')`,
        `select * from read_intermediate_result('1_1', 'binary') as t (note text)`,
        `select * from get_all_active_transactions()`,
        `select citus_set_node_property('127.0.0.1', 1, 'shouldhaveshards', true)`,
        `select * from citus_stat_activity`,
        `select * from pg_dist_authinfo`,
        `select master_run_on_worker(array['127.0.0.1'], array[1], array['select 1'], true)`,
      ]
      it.each(commands)('are refused: %s', async (command) => {
        await withLogin(platform.appUrl, async (client) => {
          await enter(client, attacker)
          await expect(client.query(command)).rejects.toMatchObject({ code: REFUSED })
        })
      })

      it('are closed to everybody but for those its own plans call', async () => {
        const text = `select array_agg(distinct p.proname::text order by p.proname::text) as names from pg_proc p
         join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
         join pg_extension e on e.oid = d.refobjid and e.extname like 'citus%'
        where has_function_privilege('rowhouse_app', p.oid, 'execute')`
        for (const url of platform.nodeUrls) {
          const { rows } = await withAdminClient(url, (client) => client.query(text))
          expect(rows[0].names).toEqual([
            'assign_distributed_transaction_id',
            'citus_extradata_container',
            'coord_combine_agg',
            'coord_combine_agg_ffunc',
            'coord_combine_agg_sfunc',
            'worker_hash',
            'worker_partial_agg',
            'worker_partial_agg_ffunc',
            'worker_partial_agg_sfunc',
          ])
        }
      })

      it('control: where they are open, any command runs on every worker', async () => {
        const open = `grant execute on function run_command_on_workers(text, boolean), master_run_on_worker(text[], integer[], text[], boolean),
          master_get_active_worker_nodes() to rowhouse_app`
        const rows = await weakened(open, open.replace('grant', 'revoke').replace(' to ', ' from '), () =>
          withLogin(platform.appUrl, async (client) => {
            await enter(client, attacker)
            return (await client.query('select success, result from run_command_on_workers($1)', ['select 6 * 7'])).rows
          }),
        )
        expect(rows).toEqual(platform.nodeUrls.slice(1).map(() => ({ success: true, result: '42' })))
      })
    })

    describe('a setting left on the cached connection to a worker', () => {
      /** The attacker's SELECT leaves its seal there; returns what somebody without any context gets afterwards. */
      const poison = () =>
        withLogin(platform.appUrl, async (client) => {
          const { text } = sealOf(attacker)
          await enter(client, attacker)
          await client.query(
            `select set_config('rowhouse.seal', $1, false) is not null from shipment where tenant_id = '${attacker.id}' limit 1`,
            [text],
          )
          await client.query('commit')
          await client.query('reset all')
          await client.query('begin')
          const { rows } = await client.query(`select note from shipment where tenant_id = '${attacker.id}'`)
          return rows.length
        })

      it('is not made: set_config() is nobody’s, pg_settings takes no update', async () => {
        await expect(poison()).rejects.toMatchObject({ code: REFUSED, message: expect.stringContaining('set_config') })
        await withLogin(platform.appUrl, async (client) => {
          await enter(client, attacker)
          await expect(
            client.query(`update pg_settings set setting = 'off' where name = 'row_security'`),
          ).rejects.toMatchObject({ code: REFUSED })
        })
      })

      it('control: where it is made, the next one without a context reads the attacker’s rows', async () => {
        const f = 'pg_catalog.set_config(text, text, boolean)'
        const seen = await weakened(
          `grant execute on function ${f} to public`,
          `revoke execute on function ${f} from public`,
          poison,
        )
        expect(seen).toBe(SHIPMENTS)
      })
    })

    const visible = '-c citus.override_table_visibility=off'
    /** The fullest shard of `shipment` on a node. */
    const shardOf = (n: number) =>
      withAdminClient(platform.nodeUrls[n] as string, async (client) => {
        await client.query('set citus.override_table_visibility = off')
        const { rows } = await client.query<{ name: string }>(
          `select oid::regclass::text as name from pg_class where relkind = 'r' and relname ~ '^shipment_[0-9]+$'`,
        )
        let fullest = { name: '', rows: -1 }
        for (const { name } of rows) {
          const count = (await client.query(`select from ${name}`)).rowCount ?? 0
          if (count > fullest.rows) fullest = { name, rows: count }
        }
        return fullest.name
      })

    describe('the login of the application on a worker, and shards named directly', () => {
      it('reach nothing without a seal', async () => {
        const shard = await shardOf(1)
        await withLogin(workerUrl(1), async (client) => {
          for (const table of ['shipment', shard]) {
            await expect(client.query(`select * from ${table}`)).rejects.toMatchObject({ code: REFUSED })
          }
          await expect(client.query(`truncate ${shard}`)).rejects.toThrow('cannot modify')
          await expect(client.query('select * from rowhouse.resident')).rejects.toMatchObject({ code: REFUSED })
        })
      })

      it('reach own rows with an own seal, and cannot write for others', async () => {
        const shard = await shardOf(1)
        await withLogin(workerUrl(1), async (client) => {
          await enter(client, attacker)
          expect((await client.query(`select from ${shard} where tenant_id <> $1`, [attacker.id])).rowCount).toBe(0)
          await expect(
            client.query(`insert into ${shard} (tenant_id, id, note) values ($1, 900, 'planted')`, [victim.id]),
          ).rejects.toMatchObject({ code: REFUSED })
        })
      })

      it('control: a superuser on the worker reads the shard', async () => {
        const shard = await shardOf(1)
        const url = new URL(platform.nodeUrls[1] as string)
        url.searchParams.set('options', visible)
        const count = await withAdminClient(
          url.href,
          async (client) => (await client.query(`select from ${shard}`)).rowCount,
        )
        expect(count).toBeGreaterThan(0)
      })
    })

    describe('COPY FROM, which asks no policy', () => {
      const plant = (url: string, table: string) =>
        withLogin(url, async (client) => {
          await enter(client, attacker)
          const stream = client.query(copyFrom(`copy ${table} (tenant_id, id, note) from stdin`))
          await pipeline(async function* () {
            for (let n = 0; n < 3; n += 1) yield `${victim.id}\t${910 + n}\tplanted ${n}\n`
          }, stream)
          await client.query('commit')
        })
      const planted = async () => {
        const { rows } = await platform.coordinator.query(
          `select count(*)::int as n from shipment where note like 'planted%'`,
        )
        return rows[0].n
      }

      it('is refused on the coordinator', async () => {
        await expect(plant(platform.appUrl, 'shipment')).rejects.toMatchObject({ code: expect.any(String) })
        expect(await planted()).toBe(0)
      })

      it('is refused on a worker, by the table and by the shard', async () => {
        await expect(plant(workerUrl(1), 'shipment')).rejects.toMatchObject({ code: REFUSED })
        await expect(plant(workerUrl(1), await shardOf(1))).rejects.toMatchObject({
          message: 'COPY FROM not supported with row-level security',
        })
        expect(await planted()).toBe(0)
      })

      it('control: on a worker that is open to the application, it plants rows in a neighbour’s shard', async () => {
        const open = 'grant select, insert on shipment to rowhouse_app'
        const close = 'select rowhouse.close_worker()'
        await weakened(open, close, async () => {
          for (const n of platform.nodeUrls.keys()) if (n > 0) await plant(workerUrl(n), 'shipment').catch(() => {})
        })
        expect(await planted()).toBe(3)
        await platform.coordinator.query(`delete from shipment where note like 'planted%'`)
      })

      it('is refused after the table was protected again: its grants reach workers, and are taken from them', async () => {
        await platform.coordinator.query('alter table shipment add column later integer')
        const [plan] = await protect({ url: platform.coordinatorUrl, tables: [{ name: 'shipment' }] })
        expect(plan?.changes.length).toBeGreaterThan(0)
        await expect(plant(workerUrl(1), 'shipment')).rejects.toMatchObject({ code: REFUSED })
      })

      it('is why a coordinator with shards of its own is refused', async () => {
        const { hostname, port } = new URL(platform.coordinatorUrl)
        const hold = (holds: boolean) =>
          platform.coordinator.query(`select citus_set_node_property($1, $2, 'shouldhaveshards', $3)`, [
            hostname,
            port,
            holds,
          ])
        await hold(true)
        const installed = installCitus({ url: platform.coordinatorUrl, rootKey: platform.central.rootKey })
        await expect(installed.finally(() => hold(false))).rejects.toMatchObject({
          code: 'ERR_CONFIG_INVALID',
          message: expect.stringContaining('its coordinator holds shards'),
        })
      })
    })
  },
)
