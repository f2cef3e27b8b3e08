/** Many databases with one tenant each, made by copying one: for tests of what a process does when there are many. */

import pg from 'pg'
import type { TenantId } from 'rowhouse'
import { parseRootKey } from 'rowhouse/install'
import { urlOf, withAdminClient } from '../support/admin-client.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { registerTenant } from '../support/home.ts'
import { SCHEMA } from '../support/tenants.ts'

export interface Crowd {
  readonly central: TestDatabase
  readonly admin: pg.Client
  /** `tenant-0`, `tenant-1`, …, each alone in its database. */
  readonly tenants: readonly { readonly id: string; readonly slug: string; readonly database: string }[]
  close(): Promise<void>
}

export async function createCrowd(size: number): Promise<Crowd> {
  const central = await createTestDatabase()
  const model = await createTestDatabase()
  await withAdminClient(model.adminUrl, (client) => client.query(SCHEMA))
  const admin = new pg.Client({ connectionString: central.adminUrl })
  await admin.connect()
  const tenants: { id: string; slug: string; database: string }[] = []
  for (let i = 0; i < size; i++) {
    const tenant = await registerTenant(admin, `tenant-${i}`)
    const database = `t_tenant_${i}_${tenant.id.slice(-12)}`
    await admin.query(`create database ${database} template ${model.name}`)
    await admin.query(`revoke all on database ${database} from public`)
    await admin.query(`grant connect on database ${database} to rowhouse_app`)
    const { ipad, opad } = parseRootKey(central.rootKey).deriveTenantKey(tenant.id as TenantId, 1)
    await withAdminClient(urlOf(central.adminUrl, database), async (client) => {
      const resident = 'insert into rowhouse.resident (tenant_id, key_version, ipad, opad) values ($1, 1, $2, $3)'
      await client.query(resident, [tenant.id, ipad, opad])
      const rows = 'insert into item (tenant_id, id, label) select $1, n, $2 from generate_series(1, 3) n'
      await client.query(rows, [tenant.id, tenant.slug])
    })
    const placed = `insert into rowhouse.placement (tenant_id, model, database_name, key_version) values ($1, 'database', $2, 1)`
    await admin.query(placed, [tenant.id, database])
    tenants.push({ ...tenant, database })
  }
  const close = async () => {
    for (const { database } of tenants) await admin.query(`drop database if exists ${database} with (force)`)
    await admin.end()
    await model.drop()
    await central.drop()
  }
  return { central, admin, tenants, close }
}
