import { createHash } from 'node:crypto'
import type pg from 'pg'
import { TenantError, type TenantId } from 'rowhouse'
import type { Model } from '../placing/placement-rules.ts'
import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'

/** One end of a move. */
export interface MoveHome extends HomeAddress {
  readonly model: Model
}

export type MoveState =
  | 'planned'
  | 'preparing'
  | 'copying'
  | 'catching-up'
  | 'cutting'
  | 'switched'
  | 'reverting'
  | 'completing'
  | 'aborting'
  | 'completed'
  | 'aborted'
  | 'reverted'

/** What is known of how far a move is. */
export interface MoveProgress {
  /** True when the move made the home it goes to: an abort removes it. */
  readonly madeHome?: boolean
  readonly copiedRows?: number
  readonly copiedBytes?: number
  /** Keys captured and not yet copied. */
  readonly lag?: number
  /** How long writes of the tenant waited at the cut, in milliseconds. */
  readonly pauseMs?: number
  /** Checks that were made before the switch. */
  readonly verified?: { readonly tables: number; readonly rows: number }
}

/** A move, as the central database knows it. */
export interface MoveRecord {
  readonly id: string
  readonly tenantId: TenantId
  readonly slug: string
  readonly state: MoveState
  readonly source: MoveHome
  readonly target: MoveHome
  /** The tenant's epoch before the move. */
  readonly epoch: number
  readonly wish: 'pause' | 'abort' | undefined
  readonly progress: MoveProgress
  readonly requestedBy: string
  readonly reason: string
  /** The bulk move it is part of. */
  readonly bulk: string | undefined
  /** True when somebody said that it may take the tenant out of its region. */
  readonly outsideRegion: boolean
  /** Why it was aborted, or what it failed with the last time. */
  readonly error: string | undefined
  readonly startedAt: Date
  readonly switchedAt: Date | undefined
  readonly changedAt: Date
}

interface MoveRow {
  readonly id: string
  readonly tenant_id: TenantId
  readonly slug: string
  readonly state: MoveState
  readonly source: MoveHome
  readonly target: MoveHome
  readonly epoch: number
  readonly wish: 'pause' | 'abort' | null
  readonly progress: MoveProgress
  readonly requested_by: string
  readonly reason: string
  readonly bulk_name: string | null
  readonly outside_region: boolean
  readonly error: string | null
  readonly started_at: Date
  readonly switched_at: Date | null
  readonly changed_at: Date
}

const SELECT = 'select m.*, t.slug from rowhouse.move m join rowhouse.tenant t on t.id = m.tenant_id'

export type Runner = Pick<pg.ClientBase, 'query'>

/** Returns moves, newest first; those of one tenant where a slug or id is given. */
export async function listMoves(connections: OperatorConnections, tenant?: string): Promise<MoveRecord[]> {
  return connections.transact(CENTRAL, async (client) => {
    const { rows } = await client.query<MoveRow>(
      `${SELECT} where $1::text is null or t.slug = $1 or t.id::text = $1 order by m.started_at desc limit 1000`,
      [tenant ?? null],
    )
    return rows.map(toRecord)
  })
}

/** SQL: a move that has not ended, whose columns are named `m`. */
export const IS_OPEN = `m.state not in ('completed', 'aborted', 'reverted')`

/** Returns the state of the move of a tenant that has not ended. */
export async function findOpenMove(client: Runner, tenantId: string): Promise<MoveState | undefined> {
  const text = `select m.state from rowhouse.move m where m.tenant_id = $1 and ${IS_OPEN}`
  return (await client.query<{ state: MoveState }>(text, [tenantId])).rows[0]?.state
}

/** @throws {TenantError} `ERR_MOVE_NOT_FOUND` */
export async function readMove(client: Runner, id: string): Promise<MoveRecord> {
  const { rows } = await client.query<MoveRow>(`${SELECT} where m.id::text = $1`, [id])
  if (rows[0] !== undefined) return toRecord(rows[0])
  throw new TenantError('ERR_MOVE_NOT_FOUND', `Cannot find move "${id}": the registry knows none of this id`)
}

/**
 * Writes down how far a move is; `progress` is added to what is known. What is over stays over, and what is being undone is
 * only ever undone: a process that was taken for dead may still believe otherwise.
 *
 * @throws {TenantError} `ERR_MOVE_STATE` when the move is past that
 */
export async function noteMove(
  connections: OperatorConnections,
  id: string,
  { state, progress = {}, error }: { state?: MoveState; progress?: MoveProgress; error?: string | null },
): Promise<void> {
  const { rowCount } = await connections.transact(CENTRAL, (client) =>
    client.query(
      `update rowhouse.move set state = coalesce($2, state), progress = progress || $3::jsonb, changed_at = now(),
              error = case when $4::text is null then error else nullif($4, '') end
        where id = $1 and ($2::text is null or state = $2 or state not in ('aborting', 'completed', 'aborted', 'reverted')
                           or (state = 'aborting' and $2 = 'aborted'))`,
      [id, state ?? null, JSON.stringify(progress), error === null ? '' : (error ?? null)],
    ),
  )
  if (rowCount !== 1) throw new TenantError('ERR_MOVE_STATE', 'Cannot go on with the move: it is over, or being undone')
}

/** Keys changed in the new home are captured under an id of their own: both homes may share a database. */
export function backId(moveId: string): string {
  const hex = createHash('sha256').update(`back ${moveId}`).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}

/** Homes in one database share its residents: the tenant has one there, and it names the schema. */
export function sameDatabase(one: HomeAddress, other: HomeAddress): boolean {
  return one.server === other.server && one.database === other.database
}

function toRecord(row: MoveRow): MoveRecord {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    slug: row.slug,
    state: row.state,
    source: toHome(row.source),
    target: toHome(row.target),
    epoch: row.epoch,
    wish: row.wish ?? undefined,
    progress: row.progress,
    requestedBy: row.requested_by,
    reason: row.reason,
    bulk: row.bulk_name ?? undefined,
    outsideRegion: row.outside_region,
    error: row.error ?? undefined,
    startedAt: row.started_at,
    switchedAt: row.switched_at ?? undefined,
    changedAt: row.changed_at,
  }
}

/** JSON has no undefined: what is not there was left out. */
function toHome({ server, model, database, schema }: MoveHome): MoveHome {
  return { server, model, database, schema }
}
