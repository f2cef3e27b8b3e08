import { isRowhouseError, TenantError } from 'rowhouse'
import type { TenantAdmin } from 'rowhouse/install'
import { CENTRAL } from '../../registry/operator-connections.ts'
import type { MoveRecord, Runner } from '../move-record.ts'
import type { Mover } from '../mover.ts'
import { type BulkRecord, type BulkTenant, listBulk, readBulk } from './bulk-record.ts'
import { type BulkRequest, type BulkStart, DEFAULT_MAX_FAILURES, identityOf, requireBulkStart } from './bulk-request.ts'
import { driveBulk } from './drive-bulk.ts'
import { type BulkPlan, planBulk } from './plan-bulk.ts'

/** What became of tenants that were completed or reverted together. */
export interface BulkOutcome {
  readonly record: BulkRecord
  /** Slugs. */
  readonly done: readonly string[]
  /** Those it was not done to; the others went on. */
  readonly failed: readonly { readonly slug: string; readonly code: string | undefined; readonly reason: string }[]
}

/**
 * Moves many tenants as one: databases into shared tables (consolidation), shared tables into databases (split), a server to
 * another. Each tenant is moved as by `start` and keeps its old home; what is true of one move is true of each.
 *
 * Besides what each says: `ERR_MOVE_NOT_FOUND` for a name nobody knows, `ERR_DATABASE_UNAVAILABLE`, `ERR_CONFIG_INVALID`.
 */
export interface BulkMoves {
  /**
   * Chooses tenants, says why some cannot be moved, and what the others cost before and after: figures of their servers
   * where those say them, otherwise estimates from `MEASURED_COSTS`. Makes nothing. Counts every row of every tenant chosen.
   *
   * @throws {TenantError} `ERR_TENANT_NOT_FOUND` for one that is named and does not exist
   * @throws {RangeError} for a request that makes no sense, or says nothing of which tenants
   */
  plan(request: BulkRequest): Promise<BulkPlan>
  /**
   * Moves them: the smallest one alone, then the others by size, a few at a time, and waits. No further one is begun after
   * `maxFailures` failed; what was moved stays moved. Never throws for a tenant that fails: look at the record.
   *
   * Asked for again under the same name, it goes on with the tenants that were chosen the first time, also after the process
   * was killed, and tries those again that failed. At the same time from two processes, one waits for the other.
   *
   * @param options.signal  begins no further tenant once aborted; those under way are moved
   * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` when no tenant can be moved; `ERR_IDEMPOTENCY_KEY_REUSED` for a name that
   *   asked for something else; `ERR_MOVE_STATE` for one that was aborted; `ERR_CAUSE_INVALID` for who asks or why
   */
  start(start: BulkStart, options?: { readonly signal?: AbortSignal }): Promise<BulkRecord>
  /** Newest first. */
  list(): Promise<BulkRecord[]>
  find(name: string): Promise<BulkRecord>
  /** No further tenant is begun, and those under way wait after their next round. */
  pause(name: string): Promise<BulkRecord>
  resume(name: string): Promise<BulkRecord>
  /** No further tenant is begun, ever, and those under way end before their switch. What was moved stays moved. */
  abort(name: string): Promise<BulkRecord>
  /** Removes the old homes of those that were switched, one after the other. A tenant under legal hold keeps its own. */
  complete(name: string): Promise<BulkOutcome>
  /** Brings those back that were switched and are not completed, the last one first, with everything they wrote since. */
  revert(name: string): Promise<BulkOutcome>
}

/** What bulk moves need of single ones. */
interface Single {
  carryOn(id: string): Promise<void>
  complete(id: string): Promise<MoveRecord>
  revert(id: string): Promise<MoveRecord>
}

export function createBulkMoves(mover: Mover, tenants: TenantAdmin, single: Single): BulkMoves {
  const { connections } = mover
  const { carryOn } = single
  const find = (name: string) => readBulk(connections.central, name)
  const wish = async (name: string, wanted: 'pause' | 'abort' | null) => {
    const { state, counts } = await find(name)
    if (counts.waiting + counts.underWay + counts.failed === 0) {
      throw new TenantError('ERR_MOVE_STATE', `Cannot change bulk move "${name}": it is ${state}`)
    }
    await connections.transact(CENTRAL, (central) => setWish(central, name, wanted))
    return find(name)
  }
  return {
    plan: (request) => planBulk(mover, tenants, request),
    start: async (start, { signal } = {}) => {
      requireBulkStart(start)
      if (!(await isKnown(mover, start))) await enterBulk(mover, start, await planBulk(mover, tenants, start))
      await driveBulk({ mover, tenants, carryOn, signal }, start.name)
      return find(start.name)
    },
    list: () => listBulk(connections),
    find,
    pause: (name) => wish(name, 'pause'),
    resume: (name) => wish(name, null),
    abort: (name) => wish(name, 'abort'),
    complete: async (name) => {
      const { tenants: all } = await find(name)
      const wanted = all.filter(({ state }) => state === 'switched' || state === 'completing')
      return { ...(await forEach(wanted, (id) => single.complete(id))), record: await find(name) }
    },
    revert: async (name) => {
      const { tenants: all } = await find(name)
      const wanted = all.filter(({ state }) => state === 'switched' || state === 'reverting').toReversed()
      return { ...(await forEach(wanted, (id) => single.revert(id))), record: await find(name) }
    },
  }
}

/** Tells whether the name was asked for before, and asked for the same. */
async function isKnown({ connections }: Mover, start: BulkStart): Promise<boolean> {
  return connections.transact(CENTRAL, async (central) => {
    const { rows } = await central.query<{ same: boolean; wish: string | null }>(
      'select request = $2::jsonb as same, wish from rowhouse.bulk_move where name = $1',
      [start.name, JSON.stringify(identityOf(start))],
    )
    const [known] = rows
    if (known === undefined) return false
    if (!known.same) {
      throw new TenantError(
        'ERR_IDEMPOTENCY_KEY_REUSED',
        `Cannot start bulk move "${start.name}": the name belongs to another one, of other tenants or to another place; use another name`,
      )
    }
    if (known.wish === 'abort') {
      throw new TenantError(
        'ERR_MOVE_STATE',
        `Cannot go on with bulk move "${start.name}": it was aborted; use another name`,
      )
    }
    return true
  })
}

/** Enters which tenants it is, once and for all. Whoever entered it first has said so. */
async function enterBulk(mover: Mover, start: BulkStart, plan: BulkPlan): Promise<void> {
  if (plan.tenants.length === 0) throw nobody(start, plan)
  const { name, maxFailures = DEFAULT_MAX_FAILURES, requestedBy, reason } = start
  const entered = await mover.connections.transact(CENTRAL, async (central) => {
    const { rowCount } = await central.query(
      `insert into rowhouse.bulk_move (name, request, target, concurrency, max_failures, requested_by, reason, left_out)
       values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (name) do nothing`,
      [
        name,
        JSON.stringify(identityOf(start)),
        plan.target,
        plan.concurrency,
        maxFailures,
        requestedBy.trim(),
        reason.trim(),
        JSON.stringify(plan.leftOut),
      ],
    )
    if (rowCount === 0) return false
    await central.query(
      `insert into rowhouse.bulk_move_tenant (bulk_name, tenant_id, position, bytes)
       select $1, t.id, t.n, t.bytes from unnest($2::uuid[], $3::bigint[]) with ordinality t (id, bytes, n)`,
      [
        name,
        plan.tenants.map(({ tenantId }) => tenantId),
        plan.tenants.map(({ before }) => Math.round(before.diskBytes)),
      ],
    )
    return true
  })
  // Somebody was faster, with the same or with something else.
  if (!entered) await isKnown(mover, start)
}

function nobody({ name }: BulkStart, { leftOut }: BulkPlan): TenantError {
  const why = leftOut
    .slice(0, 5)
    .map(({ slug, reason }) => `"${slug}": ${reason}`)
    .join('; ')
  const none = leftOut.length === 0 ? 'no tenant is like that, or all live there already' : why
  return new TenantError('ERR_MOVE_IMPOSSIBLE', `Cannot start bulk move "${name}": no tenant can be moved: ${none}`)
}

/** Pause and abort reach moves that are under way; one that is entered later inherits them. */
async function setWish(central: Runner, name: string, wish: 'pause' | 'abort' | null): Promise<void> {
  const { rows } = await central.query<{ wish: string | null }>(
    'select wish from rowhouse.bulk_move where name = $1 for update',
    [name],
  )
  if (rows[0]?.wish === 'abort' && wish !== 'abort') {
    throw new TenantError('ERR_MOVE_STATE', `Cannot change bulk move "${name}": it was aborted`)
  }
  await central.query('update rowhouse.bulk_move set wish = $2 where name = $1', [name, wish])
  await central.query(
    `update rowhouse.move set wish = $2, changed_at = now()
      where bulk_name = $1 and state in ('planned', 'preparing', 'copying', 'catching-up')`,
    [name, wish],
  )
}

async function forEach(
  tenants: readonly BulkTenant[],
  work: (moveId: string) => Promise<MoveRecord>,
): Promise<Pick<BulkOutcome, 'done' | 'failed'>> {
  const done: string[] = []
  const failed: { slug: string; code: string | undefined; reason: string }[] = []
  for (const { slug, moveId = '' } of tenants) {
    try {
      await work(moveId)
      done.push(slug)
    } catch (error) {
      if (!isRowhouseError(error)) throw error
      failed.push({ slug, code: error.code, reason: error.message })
    }
  }
  return { done, failed }
}
