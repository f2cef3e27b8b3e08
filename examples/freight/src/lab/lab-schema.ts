import type { Rowhouse } from 'rowhouse'
import { readSql, withClient } from '../schema.ts'

/** Shipments of each tenant in the weakened twins. */
const COPIED = 25

interface CopiedShipment {
  readonly tenant_id: string
  readonly number: string
  readonly status: string
  readonly origin: string
  readonly destination: string
}

/**
 * Makes the weakened twins anew, with the newest shipments of a few tenants: each read as that tenant, because not
 * even the laboratory has a way to read several at once.
 *
 * @param url  of the operator's login, which owns the twins
 */
export async function applyLabSchema(url: string, rowhouse: Rowhouse, slugs: readonly string[]): Promise<void> {
  const perTenant = await Promise.all(
    slugs.map((slug) =>
      rowhouse.withTenant({ tenant: slug, actor: 'attack lab' }, (db) =>
        db.many<CopiedShipment>(
          `select tenant_id, number, status, origin, destination from shipment order by created_at desc limit ${COPIED}`,
        ),
      ),
    ),
  )
  const rows = perTenant.flat()
  const columns = (['tenant_id', 'number', 'status', 'origin', 'destination'] as const).map((name) =>
    rows.map((row) => row[name]),
  )
  await withClient(url, async (client) => {
    await client.query('begin')
    await client.query(await readSql('lab.sql'))
    for (const table of ['lab.open_shipment', 'lab.setting_shipment']) {
      await client.query(
        `insert into ${table} select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])`,
        columns,
      )
    }
    await client.query('commit')
  })
}
