import type pg from 'pg'
import { findBrokenReferences } from '../tenant-data/foreign-keys.ts'
import { type ChangedKeys, parts, rowsOf, type TablePair } from './captured-keys.ts'
import { impossible } from './preflight.ts'

/**
 * Looks for rows that refer to a shared row the target lacks. What tenant tables refer to among themselves came along.
 *
 * @param keys  only rows of these keys; undefined for all rows of the tenant
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` naming both tables
 */
export async function assertReferences(
  target: pg.PoolClient,
  pairs: readonly TablePair[],
  tenantId: string,
  keys?: ChangedKeys,
): Promise<void> {
  const tables = pairs.map(({ to }) => to)
  const changed = keys === undefined ? tables.map(({ name }) => name) : [...keys.keys()]
  const among = (name: string): string[] => {
    const table = tables.find((each) => each.name === name)
    return table === undefined ? [] : parts(keys?.get(name) ?? []).map((part) => rowsOf(table, table, tenantId, part))
  }
  const broken = await findBrokenReferences(target, tables, changed, tenantId, keys && among)
  const lacking = broken.find(({ shared }) => shared)
  if (lacking === undefined) return
  throw impossible(
    `rows of "${lacking.table}" refer to rows of "${lacking.to}" that the target lacks; bring that table to the same rows first`,
  )
}
