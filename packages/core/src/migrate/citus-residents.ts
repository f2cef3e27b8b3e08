import type pg from 'pg'
import { MigrationError } from '../errors.ts'
import { withAdminConnection } from './admin-connection.ts'

/** Tenants written while a node is brought up to the others are found by the next look. */
const ATTEMPTS = 5

const DIGEST = `select md5(coalesce(string_agg(r::text, ',' order by tenant_id), '')) as digest from rowhouse.resident r`

/**
 * Makes the tenants' keys on one node what they are on the coordinator, and looks again.
 *
 * @throws {MigrationError} `ERR_MIGRATION_FAILED` when they still differ after five attempts
 */
export function alignResidents(coordinatorUrl: string, nodeUrl: string): Promise<void> {
  return withAdminConnection(coordinatorUrl, (coordinator) =>
    withAdminConnection(nodeUrl, async (node) => {
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        if ((await digestOf(node)) === (await digestOf(coordinator))) return
        await copyResidents(coordinator, node)
      }
      if ((await digestOf(node)) === (await digestOf(coordinator))) return
      const { host, port } = node as pg.Client & { host: string; port: number }
      throw new MigrationError(
        'ERR_MIGRATION_FAILED',
        `Cannot bring node ${host}:${port} up to the coordinator: tenants change faster than they are copied; try again`,
      )
    }),
  )
}

async function copyResidents(coordinator: pg.Client, node: pg.Client): Promise<void> {
  const { rows } = await coordinator.query<{ all: string; ids: string[] }>(
    `select coalesce(json_agg(r), '[]')::text as all, coalesce(array_agg(tenant_id), '{}')::text[] as ids from rowhouse.resident r`,
  )
  await node.query('begin')
  await node.query('delete from rowhouse.resident where tenant_id <> all ($1::uuid[])', [rows[0]?.ids])
  await node.query('select rowhouse.admit_residents($1)', [rows[0]?.all])
  await node.query('commit')
}

async function digestOf(client: pg.Client): Promise<string | undefined> {
  return (await client.query<{ digest: string }>(DIGEST)).rows[0]?.digest
}
