import { randomUUID } from 'node:crypto'
import { TenantError, type TenantId } from 'rowhouse'
import type { TenantAdmin } from 'rowhouse/install'
import { record } from '../lifecycle/find-tenant.ts'
import { requirePerson, requireReason } from '../lifecycle/who-and-why.ts'
import type { Model } from '../placing/placement-rules.ts'
import { PLACING_LOCK } from '../provision/register.ts'
import { homeName } from '../registry/home-name.ts'
import { CENTRAL } from '../registry/operator-connections.ts'
import { assertAllowed } from './assert-allowed.ts'
import { findOpenMove, type MoveHome, type Runner } from './move-record.ts'
import type { Mover } from './mover.ts'
import { assertMovable, impossible, pairTables } from './preflight.ts'

/** Where a tenant shall live from now on. */
export interface MoveRequest {
  /** Slug or id. */
  readonly tenant: string
  readonly to: { readonly model: Model; readonly server: string }
  /** Why, for people, 3 to 1,000 characters. */
  readonly reason: string
  /** Who asked for it, 1 to 200 characters. */
  readonly requestedBy: string
  /** Lets the tenant leave the region its data may not leave; written down with who and why. @defaultValue false */
  readonly outsideRegion?: boolean
}

/** Both ends of a move that can be made. */
export interface MoveEnds {
  readonly id: TenantId
  readonly slug: string
  readonly epoch: number
  readonly source: MoveHome
  readonly target: MoveHome
}

/**
 * Looks whether a tenant can be moved, as far as it can be known before anything is made.
 *
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, `ERR_MOVE_IMPOSSIBLE` saying what stands in the way
 */
export async function inspectMove(
  { connections }: Mover,
  tenants: TenantAdmin,
  request: Pick<MoveRequest, 'tenant' | 'to'>,
): Promise<MoveEnds> {
  const ends = await readEnds(tenants, request)
  if ((await connections.transact(CENTRAL, (client) => findOpenMove(client, ends.id))) !== undefined) throw notOver()
  await assertMovable(connections, ends.source, ends.target)
  // A home that is made by the move is built from the same migrations.
  if (ends.target.model === 'pooled') await pairTables(connections, ends.source, ends.target)
  return ends
}

/**
 * Enters a move: from here on everything it makes belongs to a row of the registry. What the move is held to is looked at
 * once more, with the tenant's promises and the places on servers locked.
 *
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE`, `ERR_CAUSE_INVALID` for who asks or why
 */
export async function enterMove(
  { connections, rules }: Mover,
  ends: MoveEnds,
  { outsideRegion = false, ...request }: Omit<MoveRequest, 'tenant' | 'to'>,
  { rows, bulk }: { readonly rows: number; readonly bulk?: string },
): Promise<string> {
  const reason = requireReason(request.reason, 'move the tenant')
  const requestedBy = requirePerson(request.requestedBy, 'move the tenant')
  const id = randomUUID()
  await connections
    .transact(CENTRAL, async (central) => {
      await central.query('select pg_advisory_xact_lock($1)', [PLACING_LOCK])
      await central.query('select from rowhouse.tenant where id = $1 for share', [ends.id])
      const { regions, leavesRegion } = await assertAllowed(central, rules, ends, { outsideRegion, rows })
      const wish = bulk === undefined ? null : await readBulkWish(central, bulk)
      await central.query(
        `insert into rowhouse.move (id, tenant_id, state, source, target, epoch, requested_by, reason, outside_region, bulk_name, wish)
         values ($1, $2, 'planned', $3, $4, $5, $6, $7, $8, $9, $10)`,
        [id, ends.id, ends.source, ends.target, ends.epoch, requestedBy, reason, leavesRegion, bulk ?? null, wish],
      )
      if (leavesRegion) {
        const detail = `from region ${regions.from} to ${regions.to}: ${reason}`
        await record(central, 'region-overridden', { tenantId: ends.id, by: requestedBy, detail })
      }
    })
    .catch((error) => {
      throw (error as { constraint?: unknown }).constraint === 'move_open_idx' ? notOver() : error
    })
  return id
}

/** Locked: a bulk move that is paused or aborted after this knows the move. */
async function readBulkWish(central: Runner, bulk: string): Promise<'pause' | null> {
  const text = 'select wish from rowhouse.bulk_move where name = $1 for share'
  const { rows } = await central.query<{ wish: 'pause' | 'abort' | null }>(text, [bulk])
  const wish = rows[0]?.wish ?? null
  if (wish === 'abort') throw new TenantError('ERR_MOVE_ABORTED', `Cannot begin the move: "${bulk}" was aborted`)
  return wish
}

function notOver(): TenantError {
  return impossible('another move of it is not over; complete, revert or abort that one first')
}

async function readEnds(tenants: TenantAdmin, { tenant, to }: Pick<MoveRequest, 'tenant' | 'to'>): Promise<MoveEnds> {
  const { id, slug, state, placement, epoch } = await requireTenant(tenants, tenant)
  if (state !== 'active' && state !== 'suspended') throw impossible(`it is ${state}`)
  const { server, model, database, schema } = placement
  const name = homeName(id)
  const target: MoveHome = {
    server: to.server,
    model: to.model,
    database: to.model === 'database' ? name : undefined,
    schema: to.model === 'schema' ? name : undefined,
  }
  return { id, slug, epoch, source: { server, model, database, schema } as MoveHome, target }
}

async function requireTenant(tenants: TenantAdmin, tenant: string) {
  const found = await tenants.find(tenant)
  if (found !== undefined) return found
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot move tenant "${tenant}": it does not exist`)
}
