import { TenantError } from 'rowhouse'
import { CENTRAL } from '../registry/operator-connections.ts'
import { changeWithDoor, type Doors } from './door.ts'
import { record, requireState, requireTenant } from './find-tenant.ts'
import { requireKind, requirePerson, requireReason } from './who-and-why.ts'

export interface SuspendRequest {
  /** `unpaid`, `abuse`, `request`, `security` or `other`. */
  readonly kind: string
  /** For people, 3 to 1,000 characters. */
  readonly cause: string
  /** Who suspends, 1 to 200 characters. */
  readonly by: string
}

/** Refuses every statement of the tenant from now on. One that is suspended gets the new cause. */
export async function suspendTenant(doors: Doors, name: string, request: SuspendRequest): Promise<void> {
  const action = `suspend tenant "${name}"`
  const kind = requireKind(request.kind, action)
  const cause = requireReason(request.cause, action)
  const by = requirePerson(request.by, action)
  await changeWithDoor(doors, { name, action, door: 'suspended' }, async (central, tenant) => {
    requireState(tenant, ['active', 'suspended'], action)
    await central.query(`update rowhouse.tenant set state = 'suspended' where id = $1`, [tenant.id])
    await central.query(
      `insert into rowhouse.suspension (tenant_id, kind, cause, suspended_by) values ($1, $2, $3, $4)
       on conflict (tenant_id) do update set kind = excluded.kind, cause = excluded.cause, suspended_by = excluded.suspended_by`,
      [tenant.id, kind, cause, by],
    )
    await record(central, 'suspended', { tenantId: tenant.id, by, detail: `${kind}: ${cause}` })
  })
}

/** Serves a suspended tenant again; one that is active stays so. */
export async function resumeTenant(doors: Doors, name: string, request: { readonly by: string }): Promise<void> {
  const action = `resume tenant "${name}"`
  const by = requirePerson(request.by, action)
  await changeWithDoor(doors, { name, action, door: 'active' }, async (central, tenant) => {
    requireState(tenant, ['active', 'suspended'], action)
    if (tenant.state === 'active') return
    await central.query(`update rowhouse.tenant set state = 'active' where id = $1`, [tenant.id])
    await record(central, 'resumed', { tenantId: tenant.id, by })
  })
}

/** Changes what a tenant pays for, e.g. from trial to paid. Rows, keys, domains and placement stay as they are. */
export async function setPlan(
  { connections }: Doors,
  name: string,
  { plan, by: person }: { readonly plan: string; readonly by: string },
): Promise<void> {
  const action = `set the plan of tenant "${name}"`
  const by = requirePerson(person, action)
  if (!/^[a-z0-9][a-z0-9_-]{0,62}$/.test(plan)) {
    throw new TenantError(
      'ERR_CAUSE_INVALID',
      `Cannot ${action} to "${plan}": wanted 1 to 63 lower-case letters, digits, "-" and "_"`,
    )
  }
  await connections.transact(CENTRAL, async (central) => {
    const tenant = await requireTenant(central, name, action, 'for update of t')
    requireState(tenant, ['active', 'suspended'], action)
    if (tenant.plan === plan) return
    await central.query('update rowhouse.tenant set plan = $2 where id = $1', [tenant.id, plan])
    await record(central, 'plan-changed', { tenantId: tenant.id, by, detail: `${tenant.plan} to ${plan}` })
  })
}
