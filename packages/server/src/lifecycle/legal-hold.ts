import { TenantError } from 'rowhouse'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { type LifecycleTenant, type Runner, record, requireTenant } from './find-tenant.ts'
import { toLifecycleError } from './lifecycle-error.ts'
import { requirePerson, requireReason } from './who-and-why.ts'

/** A legal hold. While one is not lifted, nothing erases the tenant. */
export interface LegalHold {
  readonly id: string
  readonly reason: string
  readonly placedBy: string
  readonly since: Date
  /** Who asked for it to be lifted; waits for another person. */
  readonly liftRequestedBy: string | undefined
  readonly liftedBy: string | undefined
  readonly liftedAt: Date | undefined
}

export interface LiftRequest {
  readonly by: string
  /** Which one; may be left out where there is one. */
  readonly hold?: string
}

interface Row {
  readonly id: string
  readonly reason: string
  readonly placed_by: string
  readonly since: Date
  readonly lift_requested_by: string | null
  readonly lifted_by: string | null
  readonly lifted_at: Date | null
}

const SELECT = `select id, reason, placed_by, since, lift_requested_by, lifted_by, lifted_at from rowhouse.legal_hold`

/** Returns all holds a tenant ever had, oldest first. */
export async function listHolds(central: Runner, tenantId: string): Promise<LegalHold[]> {
  const { rows } = await central.query<Row>(`${SELECT} where tenant_id = $1 order by since, id`, [tenantId])
  return rows.map((row) => ({
    id: row.id,
    reason: row.reason,
    placedBy: row.placed_by,
    since: row.since,
    liftRequestedBy: row.lift_requested_by ?? undefined,
    liftedBy: row.lifted_by ?? undefined,
    liftedAt: row.lifted_at ?? undefined,
  }))
}

/** Places a hold on a tenant in any state but erased. A batch that is being erased ends first, and is the last one. */
export async function placeHold(
  connections: OperatorConnections,
  name: string,
  request: { readonly reason: string; readonly by: string },
): Promise<LegalHold> {
  const action = `hold tenant "${name}"`
  const reason = requireReason(request.reason, action)
  const by = requirePerson(request.by, action)
  return change(connections, name, action, async (central, { id }) => {
    const text = 'insert into rowhouse.legal_hold (tenant_id, reason, placed_by) values ($1, $2, $3) returning id'
    const { rows } = await central.query<{ id: string }>(text, [id, reason, by])
    await record(central, 'held', { tenantId: id, by, detail: reason })
    return rows[0]?.id ?? ''
  })
}

/** First half of lifting a hold. */
export async function requestLift(
  connections: OperatorConnections,
  name: string,
  request: LiftRequest & { readonly reason: string },
): Promise<LegalHold> {
  const action = `ask for the hold on tenant "${name}" to be lifted`
  const reason = requireReason(request.reason, action)
  const by = requirePerson(request.by, action)
  return change(connections, name, action, async (central, { id }) => {
    const hold = await requireHold(central, id, action, request.hold)
    if (hold.liftRequestedBy !== undefined) {
      throw new TenantError(
        'ERR_TENANT_STATE',
        `Cannot ${action}: "${hold.liftRequestedBy}" has asked already; let another person confirm`,
      )
    }
    const text = `update rowhouse.legal_hold set lift_requested_by = $2, lift_requested_at = now(), lift_reason = $3 where id = $1`
    await central.query(text, [hold.id, by, reason])
    await record(central, 'lift-requested', { tenantId: id, by, detail: reason })
    return hold.id
  })
}

/** Takes back that a hold shall be lifted. */
export async function withdrawLift(
  connections: OperatorConnections,
  name: string,
  request: LiftRequest,
): Promise<LegalHold> {
  const action = `keep the hold on tenant "${name}"`
  const by = requirePerson(request.by, action)
  return change(connections, name, action, async (central, { id }) => {
    const hold = await requireHold(central, id, action, request.hold)
    const text = `update rowhouse.legal_hold set lift_requested_by = null, lift_requested_at = null, lift_reason = null where id = $1`
    await central.query(text, [hold.id])
    await record(central, 'lift-withdrawn', { tenantId: id, by })
    return hold.id
  })
}

/** Second half of lifting a hold, by another person than the one who asked. The database holds the two apart. */
export async function confirmLift(
  connections: OperatorConnections,
  name: string,
  request: LiftRequest,
): Promise<LegalHold> {
  const action = `lift the hold on tenant "${name}"`
  const by = requirePerson(request.by, action)
  return change(connections, name, action, async (central, { id }) => {
    const hold = await requireHold(central, id, action, request.hold)
    await central.query('update rowhouse.legal_hold set lifted_by = $2, lifted_at = now() where id = $1', [hold.id, by])
    await record(central, 'lifted', { tenantId: id, by })
    return hold.id
  })
}

/** Refuses what erases a tenant that is held. @throws {TenantError} `ERR_TENANT_HELD` */
export async function assertNotHeld(central: Runner, tenantId: string, action: string): Promise<void> {
  const held = (await listHolds(central, tenantId)).filter(({ liftedAt }) => liftedAt === undefined)
  const [first] = held
  if (first === undefined) return
  throw new TenantError(
    'ERR_TENANT_HELD',
    `Cannot ${action}: it is under legal hold since ${first.since.toISOString()} by "${first.placedBy}"; let two people lift it first`,
    { tenantId },
  )
}

async function requireHold(
  central: Runner,
  tenantId: string,
  action: string,
  wanted: string | undefined,
): Promise<LegalHold> {
  const holds = (await listHolds(central, tenantId)).filter(({ liftedAt }) => liftedAt === undefined)
  const fitting = wanted === undefined ? holds : holds.filter(({ id }) => id === wanted)
  const [hold, second] = fitting
  if (hold === undefined) {
    const which = wanted === undefined ? 'it is under no hold' : `it is under no hold "${wanted}"`
    throw new TenantError('ERR_TENANT_STATE', `Cannot ${action}: ${which}`)
  }
  if (second === undefined) return hold
  const ids = fitting.map(({ id }) => id).join(', ')
  throw new TenantError('ERR_TENANT_STATE', `Cannot ${action}: there are ${fitting.length} holds; name one of ${ids}`)
}

async function change(
  connections: OperatorConnections,
  name: string,
  action: string,
  work: (central: Runner, tenant: LifecycleTenant) => Promise<string>,
): Promise<LegalHold> {
  return connections
    .transact(CENTRAL, async (central) => {
      const tenant = await requireTenant(central, name, action, 'for update of t')
      const hold = await work(central, tenant)
      return (await listHolds(central, tenant.id)).find(({ id }) => id === hold) as LegalHold
    })
    .catch((error) => {
      throw toLifecycleError(error, action)
    })
}
