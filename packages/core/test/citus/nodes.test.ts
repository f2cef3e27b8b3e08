import { installCitus, rebalance } from 'rowhouse/install'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdminClient } from '../support/admin-client.ts'
import { CITUS_URL, whyCitus } from '../support/citus-cluster.ts'
import { type CitusPlatform, createCitusPlatform, SHIPMENTS } from './citus-server.ts'

const RESIDENTS = `select md5(string_agg(r::text, ',' order by tenant_id)) as digest from rowhouse.resident r`

describe.skipIf(CITUS_URL === undefined)(`a node that comes later (needs ROWHOUSE_TEST_CITUS_URL: ${whyCitus})`, () => {
  let platform: CitusPlatform
  beforeAll(async () => {
    platform = await createCitusPlatform(6, true)
  })
  afterAll(() => platform?.close())

  it('gets everything before it takes shards, and answers as the others', async () => {
    const spare = platform.spare as NonNullable<CitusPlatform['spare']>
    const { rootKey, appPassword } = platform.central
    await installCitus({ url: platform.coordinatorUrl, rootKey, appPassword, newNodes: [spare.url] })
    await spare.add()
    // Whoever comes between the two is spread by the trigger.
    await platform.addTenant('in-between')
    await installCitus({ url: platform.coordinatorUrl, rootKey, appPassword })
    await rebalance({ url: platform.coordinatorUrl })
    const here = (await platform.coordinator.query(RESIDENTS)).rows
    const there = await withAdminClient(spare.url, async (client) => {
      const open = `select bool_or(has_any_column_privilege('rowhouse_app', logicalrelid, 'select, insert')) as open from pg_dist_partition`
      expect((await client.query(open)).rows).toEqual([{ open: false }])
      await client.query('set citus.override_table_visibility = off')
      const shards = await client.query(
        `select from pg_class where relkind = 'r' and relname ~ '^shipment_[0-9]+$' and relforcerowsecurity`,
      )
      expect(shards.rowCount).toBeGreaterThan(0)
      return (await client.query(RESIDENTS)).rows
    })
    expect(there).toEqual(here)
    const app = await platform.open()
    for (const { id, slug } of platform.tenants) {
      const rows = await app.withTenant(slug, (db) => db.many('select tenant_id from shipment'))
      expect(rows).toEqual(Array.from({ length: SHIPMENTS }, () => ({ tenant_id: id })))
    }
  })
})
