import { TenantError } from 'rowhouse'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import { CENTRAL } from '../registry/operator-connections.ts'
import { assertNotMoving, record, requireState, requireTenant } from './find-tenant.ts'
import { requirePerson, requireReason } from './who-and-why.ts'

/** Where a tenant's data may not leave from now on. */
export interface RegionChange {
  /** Name of a region that a server is in; undefined for any. */
  readonly region: string | undefined
  /** For people, 3 to 1,000 characters. */
  readonly reason: string
  /** Who changes it, 1 to 200 characters. */
  readonly by: string
}

/**
 * Changes the region a tenant's data may not leave. Nothing is moved: one that lives elsewhere is moved afterwards. Refused
 * while a move of it has not ended, which was held to the region it had.
 */
export async function setRegion(connections: OperatorConnections, name: string, change: RegionChange): Promise<void> {
  const action = `set the region of tenant "${name}"`
  const reason = requireReason(change.reason, action)
  const by = requirePerson(change.by, action)
  await connections.transact(CENTRAL, async (central) => {
    const tenant = await requireTenant(central, name, action, 'for update of t')
    requireState(tenant, ['active', 'suspended'], action)
    await assertNotMoving(central, tenant, action)
    const { rows } = await central.query<{ region: string }>('select distinct region from rowhouse.server order by 1')
    const known = rows.map(({ region }) => region)
    if (change.region !== undefined && !known.includes(change.region)) {
      throw new TenantError(
        'ERR_TENANT_STATE',
        `Cannot ${action} to "${change.region}": no server is in that region; there are ${known.join(', ')}`,
        { tenantId: tenant.id },
      )
    }
    const before = await central.query<{ region: string | null }>('select region from rowhouse.tenant where id = $1', [
      tenant.id,
    ])
    await central.query('update rowhouse.tenant set region = $2 where id = $1', [tenant.id, change.region ?? null])
    const detail = `${before.rows[0]?.region ?? 'any'} to ${change.region ?? 'any'}: ${reason}`
    await record(central, 'region-changed', { tenantId: tenant.id, by, detail })
  })
}
