import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { UnavailableError } from 'rowhouse'
import type { RootKey } from 'rowhouse/install'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { endTenantSessions, findTenantSessions } from '../registry/tenant-sessions.ts'
import { type LifecycleTenant, type Runner, requireTenant } from './find-tenant.ts'
import { toLifecycleError } from './lifecycle-error.ts'

/** What changes a tenant's door. */
export interface Doors {
  readonly connections: OperatorConnections
  readonly rootKey: RootKey
}

/** Half of the second a suspension may take: work that is under way may end by itself in this time. */
const GRACE_MS = 400
const POLL_MS = 25
/** Sessions that were told to end and have not after this time hang. */
const END_MS = 5_000
const ATTEMPTS = 5
const LOCK_NOT_AVAILABLE = '55P03'

/** A transaction of the tenant holds its row. */
class DoorHeld extends Error {
  readonly tenant: LifecycleTenant

  constructor(tenant: LifecycleTenant, cause: unknown) {
    super('The door is held open', { cause })
    this.tenant = tenant
  }
}

/**
 * Changes what the registry says of a tenant together with its door: the row of the database it lives in that decides
 * whether a seal is accepted, whatever a process has cached. Elsewhere than in the central database the door changes first;
 * what is lost in between is made up for by the same call.
 *
 * A door that is closed is closed for work under way as well: it may end by itself for a moment, then its statements are
 * cancelled and its idle transactions are ended.
 *
 * @param action  what is tried, to follow "Cannot"
 * @param change  runs in a transaction in the central database, the tenant's row locked; may run again
 * @throws {TenantError} `ERR_TENANT_NOT_FOUND`, and what `change` throws
 * @throws {UnavailableError} `ERR_TIMEOUT` when work of the tenant does not end; the door is closed all the same,
 *   or when another session holds the door for two seconds; then nothing has changed.
 *   `ERR_TENANT_MOVING` while a move has it fenced
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` for a login that may not end other sessions
 */
export async function changeWithDoor(
  { connections, rootKey }: Doors,
  { name, action, door }: { readonly name: string; readonly action: string; readonly door: 'active' | 'suspended' },
  change: (central: pg.PoolClient, tenant: LifecycleTenant) => Promise<void>,
): Promise<LifecycleTenant> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const tenant = await connections.transact(CENTRAL, async (central) => {
        const found = await requireTenant(central, name, action, 'for update of t')
        await change(central, found)
        await atHome(connections, central, found, (home) => setDoor(home, found, door))
        return found
      })
      if (door === 'suspended') await endWork(connections, rootKey, tenant)
      return tenant
    } catch (error) {
      if (!(error instanceof DoorHeld)) throw toLifecycleError(error, action)
      if (attempt === ATTEMPTS) {
        throw new UnavailableError(
          'ERR_TIMEOUT',
          `Cannot ${action}: a session that is not the tenant's own holds its row in rowhouse.resident; nothing was changed, try again`,
          { cause: error },
        )
      }
      await endWork(connections, rootKey, error.tenant, 0)
    }
  }
}

/** In the central database that is the caller's own transaction. */
async function atHome(
  connections: OperatorConnections,
  central: pg.PoolClient,
  { home }: LifecycleTenant,
  fn: (client: Runner) => Promise<void>,
): Promise<void> {
  if (home === undefined) return
  if (home.server === CENTRAL.server && home.database === undefined) await fn(central)
  else await connections.transact(home, fn)
}

async function setDoor(client: Runner, tenant: LifecycleTenant, door: string): Promise<void> {
  await client.query(`set local lock_timeout = ${GRACE_MS}`)
  // A fence belongs to a move: who opened it would let writes into a home that the tenant is leaving.
  const text = `update rowhouse.resident set state = case when state = 'fenced' then state else $2 end where tenant_id = $1 returning state`
  const { rows } = await client.query<{ state: string }>(text, [tenant.id, door]).catch((error) => {
    throw error.code === LOCK_NOT_AVAILABLE ? new DoorHeld(tenant, error) : error
  })
  if (rows[0]?.state === 'fenced') {
    throw new UnavailableError(
      'ERR_TENANT_MOVING',
      `Cannot change the door of tenant "${tenant.slug}": it is being moved right now; try again shortly`,
      { retryAfterMs: 250 },
    )
  }
  await client.query('set local lock_timeout = 0')
}

/** Waits until nothing works for a tenant whose door is closed, and ends what takes longer than `graceMs`. */
export async function endWork(
  connections: OperatorConnections,
  rootKey: RootKey,
  { id, slug, home }: LifecycleTenant,
  graceMs = GRACE_MS,
): Promise<void> {
  if (home === undefined) return
  const key = rootKey.deriveLockKey(id)
  await connections.use(home, async (client) => {
    const began = performance.now()
    for (;;) {
      const sessions = await findTenantSessions(client, key)
      if (sessions.length === 0) return
      const waitedMs = performance.now() - began
      if (waitedMs > graceMs + END_MS) {
        throw new UnavailableError(
          'ERR_TIMEOUT',
          `Cannot end the work of tenant "${slug}": its door is closed, and ${sessions.length} sessions that were open have not ended; try again`,
        )
      }
      if (waitedMs >= graceMs) await endTenantSessions(client, sessions)
      await delay(POLL_MS)
    }
  })
}
