import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { TenantAdmin } from 'rowhouse/install'
import type { OperatorConnections } from '../../registry/operator-connections.ts'
import { CENTRAL } from '../../registry/operator-connections.ts'
import { enterMove, inspectMove } from '../enter-move.ts'
import type { Mover } from '../mover.ts'
import { type BulkRecord, type BulkTenant, DRIVING, readBulk, UNDER_WAY } from './bulk-record.ts'
import type { BulkRequest } from './bulk-request.ts'
import { weighTenant } from './weigh-tenant.ts'

/** What a bulk move is driven with. */
export interface Driver {
  readonly mover: Mover
  readonly tenants: TenantAdmin
  /** Goes on with a move that was entered, whoever began it, and waits for its end. */
  readonly carryOn: (id: string) => Promise<void>
  /** Aborted when no further tenant shall be begun. */
  readonly signal: AbortSignal | undefined
}

const WISH_POLL_MS = 500

/**
 * Moves the tenants of a bulk move that have not been moved, until all were, so many failed as are allowed, or somebody
 * pauses or aborts it. One process at a time: another one waits, and finds nothing left to do.
 *
 * The state of each tenant is that of its move. So there is nothing to resume: whoever drives next looks at the moves.
 */
export async function driveBulk(driver: Driver, name: string): Promise<void> {
  const { connections } = driver.mover
  const lock = await holdDriving(connections, name)
  try {
    const bulk = await readBulk(connections.central, name)
    const left = bulk.tenants.filter(isLeft)
    const run: Run = { driver, bulk, left, failures: 0 }
    await runCanary(run)
    await Promise.all(Array.from({ length: bulk.concurrency }, () => work(run)))
  } finally {
    await lock.end()
  }
}

interface Run {
  readonly driver: Driver
  readonly bulk: BulkRecord
  /** In the order they go; emptied from the front. */
  readonly left: BulkTenant[]
  failures: number
}

function isLeft({ state }: BulkTenant): boolean {
  return state === 'waiting' || state === 'refused' || state === 'aborted' || UNDER_WAY.includes(state)
}

/** One tenant alone, until one has been moved: what is wrong with all of them is found with the smallest. */
async function runCanary(run: Run): Promise<void> {
  let moved = run.bulk.counts.moved > 0
  while (!moved) {
    const tenant = await next(run)
    if (tenant === undefined) return
    moved = await attempt(run, tenant)
  }
}

async function work(run: Run): Promise<void> {
  for (let tenant = await next(run); tenant !== undefined; tenant = await next(run)) await attempt(run, tenant)
}

/** Returns whose turn it is; undefined when none shall be begun. Waits while the bulk move is paused. */
async function next(run: Run): Promise<BulkTenant | undefined> {
  const { driver, bulk, left } = run
  for (;;) {
    const wish = await readWish(driver.mover.connections, bulk.name)
    if (wish === 'abort' || driver.signal?.aborted === true || run.failures >= bulk.maxFailures) return undefined
    if (wish === null) return left.shift()
    await delay(WISH_POLL_MS) // until the operator says otherwise
  }
}

/** Moves one tenant, or goes on with the move it has. Returns whether it was moved; never throws. */
async function attempt(run: Run, tenant: BulkTenant): Promise<boolean> {
  const { driver, bulk } = run
  const { connections } = driver.mover
  try {
    const open = UNDER_WAY.includes(tenant.state) ? tenant.moveId : undefined
    await driver.carryOn(open ?? (await begin(driver, bulk, tenant)))
    await noteError(connections, bulk.name, tenant, null)
    return true
  } catch (error) {
    run.failures += 1
    const message = error instanceof Error ? error.message : String(error)
    driver.mover.log.warn({ err: error, tenant: tenant.slug, bulk: bulk.name }, 'a tenant of a bulk move was not moved')
    await noteError(connections, bulk.name, tenant, message)
    return false
  }
}

async function begin({ mover, tenants }: Driver, { name, target, ...bulk }: BulkRecord, tenant: BulkTenant) {
  const ends = await inspectMove(mover, tenants, { tenant: tenant.tenantId, to: target })
  const { rows } = await weighTenant(mover.connections, ends.source, ends.id)
  const { reason, requestedBy } = bulk
  const outsideRegion = (await readRequest(mover.connections, name)).outsideRegion === true
  return enterMove(mover, ends, { reason, requestedBy, outsideRegion }, { rows, bulk: name })
}

/** Held by a session of its own: PostgreSQL lets it go when the process is gone. */
async function holdDriving(connections: OperatorConnections, name: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: await connections.urlOf(CENTRAL),
    application_name: 'rowhouse-server bulk',
  })
  // Lost, another process may drive as well: a tenant still has one move at a time.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1, hashtext($2))', [DRIVING, name])
    return client
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

async function readWish(connections: OperatorConnections, name: string): Promise<'pause' | 'abort' | null> {
  const text = 'select wish from rowhouse.bulk_move where name = $1'
  const { rows } = await connections.central.query<{ wish: 'pause' | 'abort' | null }>(text, [name])
  return rows[0]?.wish ?? null
}

async function readRequest(connections: OperatorConnections, name: string): Promise<Partial<BulkRequest>> {
  const text = 'select request from rowhouse.bulk_move where name = $1'
  const { rows } = await connections.central.query<{ request: Partial<BulkRequest> }>(text, [name])
  return rows[0]?.request ?? {}
}

async function noteError(
  connections: OperatorConnections,
  name: string,
  { tenantId }: BulkTenant,
  error: string | null,
): Promise<void> {
  await connections.transact(CENTRAL, (central) =>
    central.query('update rowhouse.bulk_move_tenant set error = $3 where bulk_name = $1 and tenant_id = $2', [
      name,
      tenantId,
      error,
    ]),
  )
}
