import { TenantError, type TenantId } from 'rowhouse'
import type { OperatorConnections } from '../../registry/operator-connections.ts'
import type { MoveHome, MoveState, Runner } from '../move-record.ts'
import type { LeftOut } from './plan-bulk.ts'

/** One tenant of a bulk move. */
export interface BulkTenant {
  readonly tenantId: TenantId
  readonly slug: string
  /** As planned. */
  readonly bytes: number
  /** Of its move: `waiting` before there is one, `refused` when none could be entered. */
  readonly state: MoveState | 'waiting' | 'refused'
  /** Undefined before a move was entered. */
  readonly moveId: string | undefined
  /** Why it could not be moved the last time it was tried. */
  readonly error: string | undefined
  /** From entering the move to the switch; undefined before. */
  readonly durationMs: number | undefined
}

/**
 * How far a bulk move is. `running` while a process drives it and `stopped` while none does and tenants are left: asked for
 * again under its name, it goes on. `moved` when every tenant was; `completed` and `reverted` when all were.
 */
export type BulkState = 'running' | 'paused' | 'stopped' | 'aborted' | 'moved' | 'completed' | 'reverted'

/** A bulk move, as the registry knows it. */
export interface BulkRecord {
  readonly name: string
  readonly state: BulkState
  readonly target: Pick<MoveHome, 'model' | 'server'>
  /** In the order they go. */
  readonly tenants: readonly BulkTenant[]
  /** Asked for, and not moved. */
  readonly leftOut: readonly LeftOut[]
  readonly concurrency: number
  readonly maxFailures: number
  readonly requestedBy: string
  readonly reason: string
  readonly startedAt: Date
  /** Tenants by how far they are. */
  readonly counts: {
    readonly waiting: number
    readonly underWay: number
    readonly moved: number
    readonly failed: number
  }
  /** Until the last one is switched, from those that were; undefined before the first one and when nothing is left. */
  readonly etaMs: number | undefined
}

interface BulkRow {
  readonly name: string
  readonly target: Pick<MoveHome, 'model' | 'server'>
  readonly left_out: readonly LeftOut[]
  readonly concurrency: number
  readonly max_failures: number
  readonly wish: 'pause' | 'abort' | null
  readonly requested_by: string
  readonly reason: string
  readonly started_at: Date
  readonly driven: boolean
}

interface TenantRow {
  readonly tenant_id: TenantId
  readonly slug: string
  readonly bytes: string
  readonly error: string | null
  readonly move_id: string | null
  readonly move_state: MoveState | null
  readonly move_error: string | null
  readonly ms: number | null
}

/** First half of the key of the advisory lock that shows which process drives a bulk move; the second is its name's hash. */
export const DRIVING = 726_237_449

const BULK = `
  select b.*, exists (select from pg_locks l where l.locktype = 'advisory' and l.granted and l.objsubid = 2
                         and l.classid::bigint = ${DRIVING} and l.objid::bigint = hashtext(b.name)::bigint & 4294967295
                         and l.database = (select oid from pg_database where datname = current_database())) as driven
    from rowhouse.bulk_move b`

const TENANTS = `
  select b.tenant_id, t.slug, b.bytes, b.error, m.id as move_id, m.state as move_state, m.error as move_error,
         extract(epoch from m.switched_at - m.started_at)::float8 * 1000 as ms
    from rowhouse.bulk_move_tenant b join rowhouse.tenant t on t.id = b.tenant_id
    left join lateral (select * from rowhouse.move m where m.bulk_name = b.bulk_name and m.tenant_id = b.tenant_id
                        order by m.started_at desc limit 1) m on true
   where b.bulk_name = $1 order by b.position`

/** Says which moves are on their way to the switch, or back from an abort. */
export const UNDER_WAY: readonly BulkTenant['state'][] = [
  'planned',
  'preparing',
  'copying',
  'catching-up',
  'cutting',
  'aborting',
]
const FAILED: readonly BulkTenant['state'][] = ['aborted', 'refused']

/**
 * @param central  a session of the operator's login: who drives is seen in its locks, which the owner of the tables may not see
 * @throws {TenantError} `ERR_MOVE_NOT_FOUND`
 */
export async function readBulk(central: Runner, name: string): Promise<BulkRecord> {
  const { rows } = await central.query<BulkRow>(`${BULK} where b.name = $1`, [name])
  if (rows[0] !== undefined) return toRecord(rows[0], await readTenants(central, name))
  throw new TenantError('ERR_MOVE_NOT_FOUND', `Cannot find bulk move "${name}": the registry knows none of this name`)
}

/** Newest first, at most 1,000. */
export async function listBulk({ central }: OperatorConnections): Promise<BulkRecord[]> {
  const { rows } = await central.query<BulkRow>(`${BULK} order by b.started_at desc, b.name limit 1000`)
  const records: BulkRecord[] = []
  for (const row of rows) records.push(toRecord(row, await readTenants(central, row.name)))
  return records
}

async function readTenants(central: Runner, name: string): Promise<BulkTenant[]> {
  const { rows } = await central.query<TenantRow>(TENANTS, [name])
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    slug: row.slug,
    bytes: Number(row.bytes),
    // What was refused after an earlier move had failed is said of the tenant, and the later of the two counts.
    state: row.move_state ?? (row.error === null ? 'waiting' : 'refused'),
    moveId: row.move_id ?? undefined,
    error: row.error ?? row.move_error ?? undefined,
    durationMs: row.ms === null ? undefined : Math.round(row.ms),
  }))
}

function toRecord(row: BulkRow, tenants: readonly BulkTenant[]): BulkRecord {
  const count = (fits: (tenant: BulkTenant) => boolean) => tenants.filter(fits).length
  const waiting = count(({ state }) => state === 'waiting')
  const underWay = count(({ state }) => UNDER_WAY.includes(state))
  const failed = count(({ state }) => FAILED.includes(state))
  const counts = { waiting, underWay, failed, moved: tenants.length - waiting - underWay - failed }
  return {
    name: row.name,
    state: stateOf(row, tenants, waiting + underWay + failed),
    target: row.target,
    tenants,
    leftOut: row.left_out,
    concurrency: row.concurrency,
    maxFailures: row.max_failures,
    requestedBy: row.requested_by,
    reason: row.reason,
    startedAt: row.started_at,
    counts,
    etaMs: etaOf(tenants, waiting + underWay, row.concurrency),
  }
}

function stateOf({ wish, driven }: BulkRow, tenants: readonly BulkTenant[], left: number): BulkState {
  if (left === 0) {
    if (tenants.every(({ state }) => state === 'completed')) return 'completed'
    return tenants.every(({ state }) => state === 'reverted') ? 'reverted' : 'moved'
  }
  if (wish !== null) return wish === 'abort' ? 'aborted' : 'paused'
  return driven ? 'running' : 'stopped'
}

function etaOf(tenants: readonly BulkTenant[], left: number, concurrency: number): number | undefined {
  const done = tenants.flatMap(({ durationMs }) => durationMs ?? []).toSorted((a, b) => a - b)
  const middle = done[Math.floor(done.length / 2)]
  return middle === undefined || left === 0 ? undefined : Math.round((middle * left) / concurrency)
}
