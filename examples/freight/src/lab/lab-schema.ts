import { readSql, withClient } from '../schema.ts'

const COPY = `
  with copied as (
    insert into lab.open_shipment (tenant_id, number, status, origin, destination)
    select recent.* from unnest($1::uuid[]) as chosen (id)
    cross join lateral (
      select tenant_id, number, status, origin, destination from public.shipment
      where tenant_id = chosen.id order by created_at desc limit 25
    ) recent
    returning *
  )
  insert into lab.setting_shipment select * from copied`

/**
 * Makes the weakened twins anew, with the newest shipments of a few tenants.
 *
 * @param url  of a superuser: it reads several tenants at once, which no other login here can
 */
export async function applyLabSchema(url: string, tenantIds: readonly string[]): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('begin')
    await client.query(await readSql('lab.sql'))
    await client.query(COPY, [tenantIds])
    await client.query('commit')
  })
}
