import type { OperatorConnections } from '../registry/operator-connections.ts'
import type { MoveHome } from './move-record.ts'
import { impossible } from './preflight.ts'

const LOCK_TIMEOUT_MS = 10_000
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Waits for a restore of the tenant that began before the move was entered: triggers do not fire for what it writes, so
 * none of that would be captured. One that begins later finds the move, and is refused.
 *
 * @param key  of the tenant's advisory lock, which a restore holds alone and requests share
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` when it takes longer
 */
export async function waitForRestore(connections: OperatorConnections, key: string, home: MoveHome): Promise<void> {
  await connections
    .transact(home, async (client) => {
      await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
      await client.query('select pg_advisory_xact_lock_shared($1::bigint)', [key])
    })
    .catch((error) => {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
      throw impossible('its rows are being restored; move it when that is over')
    })
}
