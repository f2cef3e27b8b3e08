import { isRowhouseError, TenantError, type TenantId } from 'rowhouse'
import type { TenantAdmin } from 'rowhouse/install'
import type { Model } from '../../placing/placement-rules.ts'
import { assertAllowed } from '../assert-allowed.ts'
import { inspectMove, type MoveEnds } from '../enter-move.ts'
import type { MoveHome } from '../move-record.ts'
import type { Mover } from '../mover.ts'
import { addCosts, estimateCosts, measuredFigures, NO_COSTS, presentCosts, type TenantCosts } from './bulk-costs.ts'
import { type BulkRequest, DEFAULT_CONCURRENCY, requireBulkRequest } from './bulk-request.ts'
import { expectedMs, readPace } from './pace.ts'
import { freeConnections, sharedConnections, type TenantWeight, weighTenant } from './weigh-tenant.ts'

/** One tenant of a plan. */
export interface BulkPlanTenant {
  readonly tenantId: TenantId
  readonly slug: string
  readonly source: MoveHome
  readonly regions: { readonly from: string; readonly to: string }
  /** What speaks against its move and does not forbid it. */
  readonly warnings: readonly string[]
  readonly rows: number
  readonly before: TenantCosts
  readonly after: TenantCosts
  /** Figures of `before` that its server said; all others are estimates. */
  readonly measured: readonly (keyof TenantCosts)[]
  readonly durationMs: number
}

/** A tenant that was asked for and is not moved. */
export interface LeftOut {
  readonly slug: string
  readonly reason: string
}

/** What a bulk move would do and what it would save; nothing has been made. */
export interface BulkPlan {
  readonly target: { readonly model: Model; readonly server: string }
  /** In the order they would go: the smallest first, and that one alone. */
  readonly tenants: readonly BulkPlanTenant[]
  readonly leftOut: readonly LeftOut[]
  readonly before: TenantCosts
  readonly after: TenantCosts
  readonly concurrency: number
  readonly durationMs: number
  /** Where the duration comes from, for people. */
  readonly durationWhy: string
}

/** How many tenants are looked at at one time: each may need a connection to a database of its own. */
const LOOKS = 3
/** Connections a move needs on the target, and which part of those that are free moves may take. */
const CONNECTIONS_PER_MOVE = 3
const SHARE_OF_FREE = 0.25

interface Candidate {
  readonly id: TenantId
  readonly slug: string
}

/**
 * Chooses tenants, looks whether each can be moved, and says what they cost where they live and would cost where they go.
 *
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND` for a tenant that is named and does not exist
 * @throws {RangeError} for a request that makes no sense
 */
export async function planBulk(mover: Mover, tenants: TenantAdmin, request: BulkRequest): Promise<BulkPlan> {
  requireBulkRequest(request)
  const candidates = await chooseCandidates(mover, tenants, request)
  const shared = sharedCounter(mover)
  const looks = await inTurns(candidates, LOOKS, (candidate) => look(mover, tenants, request, candidate, shared))
  const pace = await readPace(mover.connections, request.to.model)
  const fitting = looks
    .flatMap((found) => ('weight' in found && fitsSize(request, found) ? [found] : []))
    .toSorted((a, b) => a.before.diskBytes - b.before.diskBytes || (a.ends.slug < b.ends.slug ? -1 : 1))
    .slice(0, request.limit)
  const chosen = await withinCapacity(mover, request, fitting)
  const planned = chosen.taken.map((found) => toPlanned(found, expectedMs(pace, found.weight.packedBytes)))
  const concurrency = await affordable(mover, request)
  return {
    target: request.to,
    tenants: planned,
    leftOut: [...looks.flatMap((found) => ('reason' in found ? [found] : [])), ...chosen.leftOut],
    before: planned.map(({ before }) => before).reduce(addCosts, NO_COSTS),
    after: planned.map(({ after }) => after).reduce(addCosts, NO_COSTS),
    concurrency,
    durationMs: totalMs(planned, concurrency),
    durationWhy: pace.why,
  }
}

interface Found {
  readonly ends: MoveEnds
  readonly weight: TenantWeight
  readonly regions: BulkPlanTenant['regions']
  readonly warnings: readonly string[]
  readonly before: TenantCosts
  readonly after: TenantCosts
}

async function look(
  mover: Mover,
  tenants: TenantAdmin,
  { to, outsideRegion = false }: BulkRequest,
  { id, slug }: Candidate,
  shared: (server: string) => Promise<number>,
): Promise<Found | LeftOut> {
  const { connections, rules } = mover
  try {
    const ends = await inspectMove(mover, tenants, { tenant: id, to })
    const weight = await weighTenant(connections, ends.source, id)
    const allowance = await assertAllowed(connections.central, rules, ends, { outsideRegion, rows: weight.rows })
    const before = presentCosts(ends.source.model, weight, await shared(ends.source.server))
    const after = estimateCosts(to.model, weight, await shared(to.server))
    return { ends, weight, regions: allowance.regions, warnings: allowance.warnings, before, after }
  } catch (error) {
    // A server that is away or a login that may not is the operator's to mend, and no property of this tenant.
    if (!isRowhouseError(error) || !(error instanceof TenantError)) throw error
    return { slug, reason: error.message.replace(/^Cannot move the tenant: /, '') }
  }
}

async function chooseCandidates(
  { connections }: Mover,
  admin: TenantAdmin,
  { tenants, from = {}, to }: BulkRequest,
): Promise<Candidate[]> {
  const named: TenantId[] = []
  for (const name of tenants ?? []) {
    const found = await admin.find(name)
    if (found === undefined) {
      throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot move tenant "${name}": it does not exist`)
    }
    named.push(found.id)
  }
  const { rows } = await connections.central.query<Candidate>(
    `select t.id, t.slug from rowhouse.tenant t join rowhouse.placement p on p.tenant_id = t.id
      where (t.id = any ($1::uuid[]) or $1 is null and t.state in ('active', 'suspended') and not (p.model = $5 and p.server = $6))
        and ($2::text is null or p.model = $2) and ($3::text is null or p.server = $3) and ($4::text is null or t.plan = $4)
      order by t.slug`,
    [
      tenants === undefined ? null : named,
      from.model ?? null,
      from.server ?? null,
      from.plan ?? null,
      to.model,
      to.server,
    ],
  )
  return rows
}

function fitsSize({ from = {} }: BulkRequest, { before }: Found): boolean {
  const { smallerThanBytes = Number.POSITIVE_INFINITY, largerThanBytes = -1 } = from
  return before.diskBytes < smallerThanBytes && before.diskBytes > largerThanBytes
}

/** Each tenant alone had room on the target; together they may be too many. */
async function withinCapacity({ connections }: Mover, { to }: BulkRequest, fitting: readonly Found[]) {
  const { rows } = await connections.central.query<{ room: number | null }>(
    `select s.capacity - (select count(*)::int from rowhouse.placement p where p.server = s.name)
              - (select count(*)::int from rowhouse.move m where m.target ->> 'server' = s.name and m.source ->> 'server' <> s.name
                    and m.state in ('planned', 'preparing', 'copying', 'catching-up', 'cutting')) as room
       from rowhouse.server s where s.name = $1`,
    [to.server],
  )
  let room = rows[0]?.room ?? Number.POSITIVE_INFINITY
  const taken: Found[] = []
  const leftOut: LeftOut[] = []
  for (const found of fitting) {
    const { slug, source } = found.ends
    if (source.server !== to.server) room -= 1
    if (room >= 0 || source.server === to.server) taken.push(found)
    else leftOut.push({ slug, reason: `server "${to.server}" has no room for it besides the others` })
  }
  return { taken, leftOut }
}

/** As many as were asked for, while they take a share of the connections the target has left; one at least. */
async function affordable(
  { connections }: Mover,
  { to, concurrency = DEFAULT_CONCURRENCY }: BulkRequest,
): Promise<number> {
  const free = await freeConnections(connections, to.server)
  return Math.max(1, Math.min(concurrency, Math.floor((free * SHARE_OF_FREE) / CONNECTIONS_PER_MOVE)))
}

function toPlanned({ ends, weight, regions, warnings, before, after }: Found, durationMs: number): BulkPlanTenant {
  const { id: tenantId, slug, source } = ends
  const measured = measuredFigures(source.model)
  return { tenantId, slug, source, regions, warnings, rows: weight.rows, before, after, measured, durationMs }
}

/** The first one goes alone. */
function totalMs([first, ...others]: readonly BulkPlanTenant[], concurrency: number): number {
  return Math.round(
    (first?.durationMs ?? 0) + others.reduce((sum, { durationMs }) => sum + durationMs, 0) / concurrency,
  )
}

/** Asks each server once. */
function sharedCounter({ connections }: Mover): (server: string) => Promise<number> {
  const known = new Map<string, Promise<number>>()
  return (server) => {
    const count = known.get(server) ?? sharedConnections(connections, server)
    known.set(server, count)
    return count
  }
}

/** Does `work` for each, a few at one time; results in the order of `items`. */
async function inTurns<T, R>(items: readonly T[], count: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const turn = async () => {
    while (next < items.length) {
      const n = next
      next += 1
      results[n] = await work(items[n] as T)
    }
  }
  await Promise.all(Array.from({ length: count }, turn))
  return results
}
