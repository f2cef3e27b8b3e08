import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRowhouse, type Rowhouse } from 'rowhouse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withAdminClient } from '../../../core/test/support/admin-client.ts'
import { CITUS_URL, type CitusCluster, createCitusCluster, whyCitus } from '../../../core/test/support/citus-cluster.ts'
import { createTestDatabase, type TestDatabase } from '../../../core/test/support/database.ts'
import { type ControlPlane, openControlPlane } from '../../src/control-plane.ts'
import { migrateHome } from '../../src/fleet/migrate-home.ts'
import { readMigrations } from '../../src/fleet/migration-folder.ts'
import { tenantStep } from '../../src/provision/tenant-step.ts'
import { SCHEMA } from '../support/platform.ts'

const firstShipment = tenantStep({
  name: 'first-shipment',
  check: async (db) => (await db.query(`select from shipment where reference = 'WELCOME'`)).rowCount === 1,
  do: async (db) => {
    await db.query(`insert into shipment (reference) values ('WELCOME')`)
  },
  undo: async (db) => {
    await db.query(`delete from shipment where reference = 'WELCOME'`)
  },
})

describe.skipIf(CITUS_URL === undefined)(
  `a Citus server of the platform (needs ROWHOUSE_TEST_CITUS_URL: ${whyCitus})`,
  () => {
    let central: TestDatabase
    let cluster: CitusCluster
    let plane: ControlPlane
    let folder: string
    let app: Rowhouse
    const server = {
      name: 'citus-1',
      region: 'eu',
      kind: 'citus',
      appUrl: 'env:TEST_CITUS_APP_URL',
      adminUrl: 'env:TEST_CITUS_ADMIN_URL',
    } as const

    beforeAll(async () => {
      central = await createTestDatabase()
      cluster = await createCitusCluster()
      folder = await mkdtemp(join(tmpdir(), 'rowhouse-migrations-'))
      await writeFile(join(folder, '0001-init.sql'), SCHEMA)
      process.env.TEST_CITUS_ADMIN_URL = cluster.coordinatorUrl
      process.env.TEST_CITUS_APP_URL = cluster.appUrl(central.appPassword)
      plane = await openControlPlane({
        url: central.adminUrl,
        rootKey: central.rootKey,
        migrations: folder,
        steps: [firstShipment],
      })
      app = await createRowhouse({ url: central.appUrl, rootKey: central.rootKey })
    })
    afterAll(async () => {
      await app?.close()
      await plane?.close()
      await cluster?.drop()
      await central?.drop()
      if (folder !== undefined) await rm(folder, { recursive: true })
    })

    const ask = async <T>(text: string): Promise<T[]> => {
      const answers: T[] = []
      for (const url of cluster.nodeUrls) {
        answers.push(await withAdminClient(url, async (client) => (await client.query(text)).rows[0] as T))
      }
      return answers
    }

    it('takes no replicas', async () => {
      await expect(plane.servers.add({ ...server, replicaUrls: ['env:TEST_CITUS_APP_URL'] })).rejects.toMatchObject({
        code: 'ERR_CONFIG_INVALID',
        message:
          'Cannot add server "citus-1" with replicas: reads of a Citus server go to its coordinator; leave replicaUrls out',
      })
    })

    it('is refused where the URL leads to PostgreSQL, or to a worker', async () => {
      process.env.TEST_NOT_CITUS_URL = central.adminUrl
      await expect(plane.servers.add({ ...server, adminUrl: 'env:TEST_NOT_CITUS_URL' })).rejects.toMatchObject({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining('its database has no extension "citus"'),
      })
      process.env.TEST_NOT_CITUS_URL = cluster.nodeUrls[1]
      await expect(plane.servers.add({ ...server, adminUrl: 'env:TEST_NOT_CITUS_URL' })).rejects.toMatchObject({
        code: 'ERR_CONFIG_INVALID',
        message: expect.stringContaining('its URL leads to a worker'),
      })
    })

    it('is added, installed on every node, with its tables distributed; adding it again changes nothing', async () => {
      expect(await plane.servers.add(server)).toMatchObject({ name: 'citus-1', kind: 'citus', state: 'active' })
      expect(await plane.servers.add({ ...server, capacity: 1_000 })).toMatchObject({ capacity: 1_000 })
      const installed = await ask<{ version: number; citus: boolean }>(
        `select (select max(version) from rowhouse.migration)::int as version, to_regprocedure('rowhouse.enter(bigint,text,text,boolean)') is not null as citus`,
      )
      expect(new Set(installed.map(({ version }) => version)).size).toBe(1)
      expect(installed.every(({ citus }) => citus)).toBe(true)
      const tables = await withAdminClient(cluster.coordinatorUrl, (client) =>
        client.query(`select logicalrelid::text as name, partmethod as how from pg_dist_partition order by 1`),
      )
      expect(tables.rows).toEqual([
        { name: 'leg', how: 'h' },
        { name: 'port', how: 'n' },
        { name: 'shipment', how: 'h' },
      ])
      const keys = await withAdminClient(cluster.coordinatorUrl, (client) =>
        client.query(
          `select conrelid::regclass::text as name from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace order by 1`,
        ),
      )
      expect(keys.rows).toEqual([{ name: 'leg' }, { name: 'shipment' }])
    })

    it('takes pooled tenants and no others', async () => {
      const tenant = await plane.provision({ slug: 'acme', wish: { model: 'pooled', server: 'citus-1' } })
      expect(tenant).toMatchObject({ state: 'active', placement: { model: 'pooled', server: 'citus-1' } })
      await expect(
        plane.provision({ slug: 'own', wish: { model: 'schema', server: 'citus-1' } }),
      ).rejects.toMatchObject({
        code: 'ERR_PLACEMENT_IMPOSSIBLE',
        message: expect.stringContaining('server "citus-1" takes pooled tenants only'),
      })
      const rows = await app.withTenant('acme', (db) => db.many('select tenant_id, reference from shipment'))
      expect(rows).toEqual([{ tenant_id: tenant.id, reference: 'WELCOME' }])
      expect(await plane.findOrphans()).toEqual([])
    })

    it('suspends, resumes and rotates keys on every node', async () => {
      const { id } = await plane.provision({ slug: 'globex', wish: { model: 'pooled', server: 'citus-1' } })
      const residents = () =>
        ask<{ state: string; key: number; old: number | null }>(
          `select state, key_version as key, old_key_version as old from rowhouse.resident where tenant_id = '${id}'`,
        )
      const same = (row: object) => cluster.nodeUrls.map(() => row)
      await plane.tenants.suspend('globex')
      expect(await residents()).toEqual(same({ state: 'suspended', key: 1, old: null }))
      await plane.tenants.resume('globex')
      await plane.tenants.rotateKey('globex')
      expect(await residents()).toEqual(same({ state: 'active', key: 2, old: 1 }))
      await plane.tenants.retireOldKey('globex')
      expect(await residents()).toEqual(same({ state: 'active', key: 2, old: null }))
      expect(await app.withTenant('globex', (db) => db.many('select reference from shipment'))).toHaveLength(1)
    })

    it('is migrated as other servers are, its new tables distributed, its changed ones protected again', async () => {
      await writeFile(
        join(folder, '0002-more.sql'),
        `create table invoice (tenant_id uuid not null, id bigint not null, total integer not null, primary key (tenant_id, id));
       alter table shipment add column weight integer;`,
      )
      await withAdminClient(cluster.coordinatorUrl, async (client) =>
        migrateHome(client, { schema: undefined }, await readMigrations(folder)),
      )
      await app.withTenant('acme', async (db) => {
        await db.query('insert into invoice (id, total) values (1, 100)')
        expect((await db.query('update shipment set weight = 7')).rowCount).toBe(1)
      })
      expect(await app.withTenant('globex', (db) => db.many('select * from invoice'))).toEqual([])
      const open = await ask<{ open: boolean }>(
        `select bool_or(has_any_column_privilege('rowhouse_app', logicalrelid, 'insert')) as open from pg_dist_partition where partmethod = 'h'`,
      )
      // The application comes in by the coordinator alone.
      expect(open.map((each) => each.open)).toEqual(cluster.nodeUrls.map((_, n) => n === 0))
    })
  },
)
