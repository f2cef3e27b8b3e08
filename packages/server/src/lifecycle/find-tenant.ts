import type pg from 'pg'
import { isTenantId, TenantError, type TenantId, type TenantState } from 'rowhouse'
import { findOpenMove } from '../move/move-record.ts'
import type { Model } from '../placing/placement-rules.ts'
import type { HomeAddress } from '../registry/operator-connections.ts'

/** Anything that runs statements. */
export type Runner = Pick<pg.ClientBase, 'query'>

/** A tenant with what its life is decided by. Of an erased one the home is undefined. */
export interface LifecycleTenant {
  readonly id: TenantId
  readonly slug: string
  readonly state: TenantState
  readonly plan: string
  readonly home: TenantHome | undefined
}

export interface TenantHome extends HomeAddress {
  readonly model: Model
  readonly region: string
}

interface Row {
  readonly id: TenantId
  readonly slug: string
  readonly state: TenantState
  readonly plan: string
  readonly server: string | null
  readonly model: Model
  readonly database_name: string | null
  readonly schema_name: string | null
  readonly region: string
}

const SELECT = `
  select t.id, t.slug, t.state, t.plan, p.server, p.model, p.database_name, p.schema_name, s.region
    from rowhouse.tenant t left join rowhouse.placement p on p.tenant_id = t.id left join rowhouse.server s on s.name = p.server`

/**
 * Finds a tenant by slug or id.
 *
 * @param action  what it is wanted for, to follow "Cannot"
 * @param lock  `for update of t` inside of a transaction that changes it
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND`
 */
export async function requireTenant(
  central: Runner,
  name: string,
  action: string,
  lock: '' | 'for update of t' = '',
): Promise<LifecycleTenant> {
  const column = isTenantId(name) ? 'id' : 'slug'
  const { rows } = await central.query<Row>(`${SELECT} where t.${column} = $1 ${lock}`, [name])
  const [row] = rows
  if (row === undefined) throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot ${action}: it does not exist`)
  const { id, slug, state, plan, server, model, region } = row
  const home = server === null ? undefined : { server, model, region, ...namesOf(row) }
  return { id, slug, state, plan, home }
}

function namesOf(row: Row): Pick<HomeAddress, 'database' | 'schema'> {
  return { database: row.database_name ?? undefined, schema: row.schema_name ?? undefined }
}

/** Refuses a tenant in another state than those, with the way out where there is one. */
export function requireState(tenant: LifecycleTenant, states: readonly TenantState[], action: string): void {
  if (states.includes(tenant.state)) return
  throw new TenantError(
    'ERR_TENANT_STATE',
    `Cannot ${action}: it is ${tenant.state}, wanted ${states.join(' or ')}${WAYS_OUT[tenant.state] ?? ''}`,
    { tenantId: tenant.id },
  )
}

const WAYS_OUT: Partial<Record<TenantState, string>> = {
  active: '; offboard it first',
  suspended: '; offboard it first',
  offboarding: '; cancel the offboarding first',
}

/** Refuses a tenant that is in two places. */
export async function assertNotMoving(central: Runner, { id, slug }: LifecycleTenant, action: string): Promise<void> {
  if ((await findOpenMove(central, id)) === undefined) return
  throw new TenantError(
    'ERR_TENANT_STATE',
    `Cannot ${action}: a move of "${slug}" has not ended; complete, abort or revert it first`,
    { tenantId: id },
  )
}

/** Writes down what was done to a tenant. */
export async function record(
  central: Runner,
  event: string,
  { tenantId, by, detail }: { readonly tenantId: string; readonly by: string; readonly detail?: string },
): Promise<void> {
  const text = 'insert into rowhouse.lifecycle_event (tenant_id, actor, event, detail) values ($1, $2, $3, $4)'
  await central.query(text, [tenantId, by, event, detail ?? null])
}
