import type pg from 'pg'
import { TenantError } from 'rowhouse'
import { addRanges, checksumRanges, differingRanges, rowDigest } from '../tenant-data/checksum.ts'
import { type ChangedKeys, parts, rowsOf, type TablePair } from './captured-keys.ts'

/** What was compared, all equal. */
export interface Compared {
  readonly tables: number
  readonly rows: number
}

/**
 * Compares every row of the tenant in both homes, by checksums of ranges of the key.
 *
 * @param source, target  inside transactions that have run `PLAIN_TEXT`
 * @throws {TenantError} `ERR_MOVE_DIVERGED` naming the table and how many rows each side has
 */
export async function compareTables(
  source: pg.PoolClient,
  target: pg.PoolClient,
  pairs: readonly TablePair[],
  tenantId: string,
): Promise<Compared> {
  let rows = 0
  for (const { from, to } of pairs) {
    const [there, here] = await Promise.all([
      checksumRanges(source, { ...from, columnList: to.columnList }, tenantId),
      checksumRanges(target, to, tenantId),
    ])
    const differing = differingRanges(there, here)
    const all = addRanges(there)
    if (differing.length > 0) {
      throw diverged(
        `table "${to.name}" differs: ${all.rows} rows there, ${addRanges(here).rows} here, in ${differing.length} of 64 ranges of its key`,
      )
    }
    rows += all.rows
  }
  return { tables: pairs.length, rows }
}

/** Compares the rows of these keys, where everything else has been compared since it changed. */
export async function compareKeys(
  source: pg.PoolClient,
  target: pg.PoolClient,
  pairs: readonly TablePair[],
  tenantId: string,
  keys: ChangedKeys,
): Promise<void> {
  for (const { from, to } of pairs) {
    for (const part of parts(keys.get(from.name) ?? [])) {
      const sum = (side: TablePair['from']) =>
        `select count(*)::int as rows, coalesce(sum(${rowDigest(to, 't.*')}), 0)::text as sum from (${rowsOf(side, to, tenantId, part)}) t`
      const [there, here] = await Promise.all([
        source.query<{ rows: number; sum: string }>(sum(from)),
        target.query<{ rows: number; sum: string }>(sum(to)),
      ])
      const [one, other] = [there.rows[0], here.rows[0]]
      if (one?.rows === other?.rows && one?.sum === other?.sum) continue
      throw diverged(`table "${to.name}" differs in rows that changed last: ${one?.rows} there, ${other?.rows} here`)
    }
  }
}

function diverged(what: string): TenantError {
  return new TenantError('ERR_MOVE_DIVERGED', `Cannot switch the tenant to the copy: ${what}`)
}
