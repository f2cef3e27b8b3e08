import type pg from 'pg'
import { rebalance } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CITUS_URL, whyCitus } from '../support/citus-cluster.ts'
import { type CitusPlatform, createCitusPlatform, SHIPMENTS } from './citus-server.ts'

describe.skipIf(CITUS_URL === undefined)(
  `shards that move under load (needs ROWHOUSE_TEST_CITUS_URL: ${whyCitus})`,
  () => {
    let platform: CitusPlatform
    beforeAll(async () => {
      platform = await createCitusPlatform(8)
    })
    afterAll(() => platform?.close())

    interface Tally {
      written: number
      read: number
      wrong: number
      readonly errors: string[]
    }

    /** Tenants write and read, each its own rows, until `work` is done. */
    async function under(work: () => Promise<unknown>): Promise<Tally> {
      const app = await platform.open()
      const tally: Tally = { written: 0, read: 0, wrong: 0, errors: [] }
      let done = false
      const writer = async (k: number) => {
        for (let i = 1; !done; i += 1) {
          const { id, slug } = platform.tenants[(k + i) % platform.tenants.length] as { id: string; slug: string }
          await app
            .withTenant(slug, async (db) => {
              await db.query('insert into shipment (tenant_id, id, note) values ($1, $2, $3)', [
                id,
                1_000_000 * (k + 1) + i,
                `load ${k} ${i}`,
              ])
              tally.written++
              const rows = await db.many('select tenant_id from shipment where tenant_id = $1 and id <= 20', [id])
              tally.read++
              if (rows.length !== SHIPMENTS || rows.some((row) => row.tenant_id !== id)) tally.wrong++
            })
            .catch((error) => tally.errors.push(error.message))
        }
      }
      const writers = [0, 1, 2, 3].map(writer)
      await work().finally(() => {
        done = true
      })
      await Promise.all(writers)
      return tally
    }

    /** Moves the group of shards the first tenant lives in to another worker. */
    async function moveFirst(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
      const { rows } = await client.query(
        `select p.shardid, p.nodename as from_host, p.nodeport as from_port, n.nodename as host, n.nodeport as port
         from pg_dist_shard_placement p, pg_dist_node n
        where p.shardid = get_shard_id_for_distribution_column('shipment', $1::uuid) and n.shouldhaveshards
          and (n.nodename, n.nodeport) <> (p.nodename, p.nodeport) limit 1`,
        [platform.tenants[0]?.id],
      )
      const { shardid, from_host, from_port, host, port } = rows[0]
      await client.query('select citus_move_shard_placement($1, $2, $3, $4, $5, $6)', [
        shardid,
        from_host,
        from_port,
        host,
        port,
        'force_logical',
      ])
    }

    const forced = async () =>
      (
        await platform.coordinator.query(
          `select bool_and(relforcerowsecurity) as forced from pg_class where relname in ('shipment', 'leg', 'note')`,
        )
      ).rows[0].forced

    it('keep every acknowledged row, show own rows only, and are forced again', async () => {
      const tally = await under(() => rebalance({ url: platform.coordinatorUrl, move: moveFirst }))
      expect(tally).toMatchObject({ wrong: 0, errors: [] })
      expect(tally.written).toBeGreaterThan(20)
      const { rows } = await platform.coordinator.query(
        `select count(*)::int as n from shipment where note like 'load %'`,
      )
      expect(rows).toEqual([{ n: tally.written }])
      expect(await forced()).toBe(true)
      // Moved shards carry their walls along.
      const app = await platform.open()
      const first = platform.tenants[0] as { id: string; slug: string }
      const all = await app.withTenant(first.slug, (db) => db.many('select distinct tenant_id from shipment'))
      expect(all).toEqual([{ tenant_id: first.id }])
    })

    it('are forced again when the move fails', async () => {
      const failing = rebalance({ url: platform.coordinatorUrl, move: (client) => client.query('select 1 / 0') })
      await expect(failing).rejects.toMatchObject({
        code: 'ERR_MIGRATION_FAILED',
        message: 'Cannot move shards: division by zero',
      })
      expect(await forced()).toBe(true)
    })

    it('by the rebalancer itself, when there is nothing to do', async () => {
      await rebalance({ url: platform.coordinatorUrl })
      expect(await forced()).toBe(true)
    })
  },
)
