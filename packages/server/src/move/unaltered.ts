import type pg from 'pg'
import { TenantError } from 'rowhouse'
import { listTenantTables, type TenantTable } from '../tenant-data/tenant-tables.ts'
import { captureTriggers } from './capture.ts'
import type { TablePair } from './captured-keys.ts'
import { shapeOf } from './preflight.ts'

/** Somebody who alters a table meanwhile is not waited for: the tenant is shut out. */
const LOCK_TIMEOUT_MS = 1_000

/**
 * Looks whether somebody altered tables behind the back of a move: columns, keys, whole tables, or the triggers that
 * capture changes. Locks the tables, so that it stays as it was found until the transactions end.
 *
 * @param source, target  inside transactions that have asked nothing yet: a snapshot from before the lock would show the
 *   catalogs as they were
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` naming the table
 */
export async function assertUnaltered(
  source: pg.PoolClient,
  target: pg.PoolClient,
  pairs: readonly TablePair[],
  captureId: string,
): Promise<void> {
  const [first] = pairs
  if (first === undefined) return
  await Promise.all([
    lock(
      source,
      pairs.map(({ from }) => from.from),
    ),
    lock(
      target,
      pairs.map(({ to }) => to.from),
    ),
  ])
  const [there, here] = await Promise.all([
    listTenantTables(source, first.from.schema),
    listTenantTables(target, first.to.schema),
  ])
  const names = new Set([
    ...alteredTables(
      pairs.map(({ from }) => from),
      there,
    ),
    ...alteredTables(
      pairs.map(({ to }) => to),
      here,
    ),
  ])
  if (names.size > 0) throw altered(`somebody made, altered or dropped ${[...names].slice(0, 5).join(', ')} meanwhile`)
  const watched = await captureTriggers(
    source,
    captureId,
    pairs.map(({ from }) => from.oid),
  )
  const blind = pairs.find(({ from }) => watched.get(from.oid) !== true)
  if (blind !== undefined)
    throw altered(`somebody dropped or switched off the triggers that watch "${blind.from.name}"`)
}

/** Names of tables that are not what they were, quoted. */
function alteredTables(before: readonly TenantTable[], now: readonly TenantTable[]): string[] {
  const describe = (tables: readonly TenantTable[]) =>
    new Map(tables.map((table) => [table.name, [table.oid, shapeOf(table)].join()]))
  const [was, is] = [describe(before), describe(now)]
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((name) => was.get(name) !== is.get(name))
    .map((name) => `"${name}"`)
}

async function lock(client: pg.PoolClient, tables: readonly string[]): Promise<void> {
  await client.query(
    `set local lock_timeout = ${LOCK_TIMEOUT_MS}; lock table ${tables.join(', ')} in access share mode; set local lock_timeout = 0`,
  )
}

function altered(what: string): TenantError {
  return new TenantError('ERR_MOVE_IMPOSSIBLE', `Cannot move the tenant: ${what}; move it again when that is over`)
}
