/** A move by hand: what a tool for it has to do, in the order that lets no row be lost and no stale router be served. */

import type pg from 'pg'
import type { TenantId } from 'rowhouse'
import { parseRootKey } from 'rowhouse/install'
import { admit, type Home, type NamedTenant } from '../support/home.ts'

export interface Move {
  readonly central: pg.Client
  readonly rootKey: string
  readonly tenant: NamedTenant
  readonly from: Home
  readonly to: Home
  /** The one that holds from now on. */
  readonly epoch: number
  readonly tables: readonly string[]
}

/** Moves the tenant: nobody writes meanwhile, the new home is admitted first, the old one is closed last. */
export async function moveTenant(move: Move): Promise<void> {
  const { from, to, tenant, rootKey } = move
  await from.admin.query('begin')
  await from.admin.query('select pg_advisory_xact_lock($1)', [
    parseRootKey(rootKey).deriveLockKey(tenant.id as TenantId),
  ])
  for (const table of move.tables) await copyRows(from, to, table, tenant)
  // Two homes in one database share the resident: it changes, with the transaction, instead of going.
  const sameDatabase = from.appUrl === to.appUrl
  if (!sameDatabase) await admit(rootKey, tenant, to, move.epoch)
  await register(move)
  if (sameDatabase) await admit(rootKey, tenant, { ...to, admin: from.admin }, move.epoch)
  else await from.admin.query('delete from rowhouse.resident where tenant_id = $1', [tenant.id])
  for (const table of move.tables)
    await from.admin.query(`delete from ${from.schema}.${table} where tenant_id = $1`, [tenant.id])
  await from.admin.query('commit')
}

/** Says in the registry where the tenant lives. */
export async function register({ central, tenant, to, epoch }: Pick<Move, 'central' | 'tenant' | 'to' | 'epoch'>) {
  const { server, model, database, schema } = to.placement
  await central.query(
    `update rowhouse.placement set (server, model, database_name, schema_name, epoch, changed_at) = ($2, $3, $4, $5, $6, now())
      where tenant_id = $1`,
    [tenant.id, server, model, database, schema, epoch],
  )
}

async function copyRows(from: Home, to: Home, table: string, { id }: NamedTenant): Promise<void> {
  await to.admin.query(`delete from ${to.schema}.${table} where tenant_id = $1`, [id])
  const { rows } = await from.admin.query(
    `select coalesce(json_agg(t), '[]')::text as rows from ${from.schema}.${table} t where tenant_id = $1`,
    [id],
  )
  await to.admin.query(
    `insert into ${to.schema}.${table} select * from json_populate_recordset(null::${to.schema}.${table}, $1)`,
    [rows[0].rows],
  )
}
