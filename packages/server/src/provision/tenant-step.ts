import type pg from 'pg'
import type { Tenant } from 'rowhouse'
import { becomeTenant, type RootKey } from 'rowhouse/install'
import type { OperatorConnections } from '../registry/operator-connections.ts'
import type { ChosenHome } from './register.ts'
import { requireStepName, type StepContext } from './step.ts'

/** Runs statements as the tenant that is being made, and nothing else. */
export type TenantClient = Pick<pg.ClientBase, 'query'>

/** A step that writes into the tenant's own tables: default settings, the first administrator, sample rows. */
export interface TenantStep {
  readonly kind: 'tenant-step'
  readonly name: string
  check(db: TenantClient, context: StepContext): Promise<boolean>
  do(db: TenantClient, context: StepContext): Promise<void>
  undo(db: TenantClient, context: StepContext): Promise<void>
}

export interface TenantStepOptions {
  /** Names the step in the journal; never changes once a run has used it. */
  readonly name: string
  /** Tells whether the rows are there. */
  readonly check: TenantStep['check']
  readonly do: TenantStep['do']
  /** Takes the rows back. */
  readonly undo: TenantStep['undo']
}

/**
 * Makes a step whose statements run as the tenant, each method in one transaction: `tenant_id` is filled in, and no other
 * tenant's row can be read or written.
 *
 * @throws {TypeError} for a name that is none
 * @example
 * ```ts
 * import { tenantStep } from 'rowhouse-server'
 * const firstAdministrator = tenantStep({
 *   name: 'first-administrator',
 *   check: async (db) => (await db.query('select from member where role = $1', ['owner'])).rowCount === 1,
 *   do: async (db, { tenant }) => {
 *     await db.query('insert into member (email, role) values ($1, $2)', [tenant.administrator?.email, 'owner'])
 *   },
 *   undo: async (db) => {
 *     await db.query('delete from member where role = $1', ['owner'])
 *   },
 * })
 * console.assert(firstAdministrator.name === 'first-administrator')
 * ```
 */
export function tenantStep(options: TenantStepOptions): TenantStep {
  return { kind: 'tenant-step', ...options, name: requireStepName(options.name) }
}

/** Runs one method of such a step in its tenant's database. */
export function asNewTenant<T>(
  connections: OperatorConnections,
  rootKey: RootKey,
  home: ChosenHome,
  slug: string,
  fn: (db: TenantClient) => Promise<T>,
): Promise<T> {
  const { server, model, database, schema, tenantId: id } = home
  const tenant: Tenant = {
    id,
    slug,
    state: 'provisioning',
    plan: '',
    placement: { server, model, database, schema },
    epoch: 1,
    keyVersion: 1,
  }
  return connections.transact(home, async (client) => {
    await becomeTenant(client, rootKey, tenant, 'provisioning')
    return fn(client)
  })
}
