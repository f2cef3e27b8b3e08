/** A move by hand with its fence: each step as a tool for it has to do it, for tests that stop in between. */

import type pg from 'pg'
import type { TenantId } from 'rowhouse'
import { parseRootKey } from 'rowhouse/install'
import { admit, type Home, type NamedTenant } from '../support/home.ts'

export interface HandMadeMove {
  readonly central: pg.Client
  readonly rootKey: string
  readonly tenant: NamedTenant
  readonly from: Home
  /** In another database. */
  readonly to: Home
  /** The tenant's epoch before. */
  readonly epoch: number
  readonly tables: readonly string[]
}

/** Takes the tenant's lock in the old home, in a transaction that the caller ends. */
export async function lockTenant({ from, rootKey, tenant }: Omit<HandMadeMove, 'to'>): Promise<void> {
  await from.admin.query('begin')
  const lock = parseRootKey(rootKey).deriveLockKey(tenant.id as TenantId)
  await from.admin.query('select pg_advisory_xact_lock($1)', [lock])
}

/** Says in the registry that requests should wait, then raises the fence. */
export async function raiseFence(move: Omit<HandMadeMove, 'to'>): Promise<void> {
  const { central, from, tenant } = move
  await central.query('update rowhouse.placement set moving_since = now() where tenant_id = $1', [tenant.id])
  await lockTenant(move)
  await from.admin.query(`update rowhouse.resident set state = 'fenced' where tenant_id = $1`, [tenant.id])
  await from.admin.query('commit')
}

/** Copies what is behind the fence, lets the new home answer, then says so in the registry. */
export async function switchHome({ central, rootKey, tenant, from, to, epoch, tables }: HandMadeMove): Promise<void> {
  for (const table of tables) {
    await to.admin.query(`delete from ${table} where tenant_id = $1`, [tenant.id])
    const { rows } = await from.admin.query(
      `select coalesce(json_agg(t), '[]')::text as rows from ${table} t where tenant_id = $1`,
      [tenant.id],
    )
    await to.admin.query(`insert into ${table} select * from json_populate_recordset(null::${table}, $1)`, [
      rows[0].rows,
    ])
  }
  await admit(rootKey, tenant, to, epoch + 1)
  await to.admin.query(`update rowhouse.resident set state = 'active' where tenant_id = $1`, [tenant.id])
  const { server, model, database, schema } = to.placement
  await central.query(
    `update rowhouse.placement set (server, model, database_name, schema_name, epoch, moving_since)
       = ($2, $3, $4, $5, $6, null) where tenant_id = $1`,
    [tenant.id, server, model, database, schema, epoch + 1],
  )
}

/** Gives the move up: the old home answers again, under the same epoch, and then the registry says so. */
export async function lowerFence({ central, from, tenant }: Omit<HandMadeMove, 'to'>): Promise<void> {
  await from.admin.query(`update rowhouse.resident set state = 'active' where tenant_id = $1`, [tenant.id])
  await central.query('update rowhouse.placement set moving_since = null where tenant_id = $1', [tenant.id])
}
