import { escapeIdentifier } from 'pg'
import { isRowhouseError } from 'rowhouse'
import { listTenantTables, type TenantTable } from '../tenant-data/tenant-tables.ts'
import type { RehearsedRestore } from './rehearsal-report.ts'
import { digestAtHome, factsOf } from './rehearse-move.ts'
import { requireScratch, type Stage } from './stage.ts'
import { differingTables } from './tenant-digest.ts'

/**
 * Backs the tenant up, deletes about half of its rows past the walls, compares, and brings them back.
 *
 * @param judge  called while the rows are missing: the checker has to notice
 */
export async function rehearseRestore(stage: Stage, judge: () => Promise<void>): Promise<RehearsedRestore> {
  const { backups, mover, neighbour, options } = stage
  const [before, neighbourBefore] = [await digestAtHome(stage, mover.slug), await digestAtHome(stage, neighbour.slug)]
  let done: Omit<RehearsedRestore, 'changedTables' | 'neighbourChangedTables'> = { deleted: 0, diff: [], inserted: 0 }
  try {
    const { name } = await backups.create(mover.slug)
    const deleted = await deleteHalf(stage)
    await judge()
    const diff = await backups.diff(name)
    options.onEvent({ kind: 'compared', deleted, diff })
    done = { ...done, deleted, diff }
    const merged = await backups.merge(name)
    done = { ...done, inserted: merged.reduce((sum, { inserted }) => sum + inserted, 0) }
  } catch (error) {
    if (!isRowhouseError(error)) throw error
    done = { ...done, ...factsOf(error) }
  }
  const restore = {
    ...done,
    changedTables: differingTables(before, await digestAtHome(stage, mover.slug)),
    neighbourChangedTables: differingTables(neighbourBefore, await digestAtHome(stage, neighbour.slug)),
  }
  options.onEvent({ kind: 'restored', restore })
  return restore
}

/** As somebody with a login of the operator and the wrong statement at hand: no wall and no foreign key is asked. */
async function deleteHalf(stage: Stage): Promise<number> {
  const { placement, id } = await requireScratch(stage, stage.mover.slug)
  return stage.connections.use(placement, async (client) => {
    await client.query('begin; set local session_replication_role = replica; set local row_security = off')
    let deleted = 0
    for (const table of await listTenantTables(client, placement.schema ?? 'public')) {
      const { rowCount } = await client.query(
        `delete from ${table.from} where tenant_id = $1 and ('x' || substr(md5(${keyOf(table)}), 1, 4))::bit(16)::int % 2 = 0`,
        [id],
      )
      deleted += rowCount ?? 0
    }
    await client.query('commit')
    return deleted
  })
}

function keyOf({ key, columnList }: TenantTable): string {
  return `row(${key.length === 0 ? columnList : key.map((name) => escapeIdentifier(name)).join(', ')})::text`
}
