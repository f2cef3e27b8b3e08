import { urlOf, withAdminClient } from '../../../../packages/core/test/support/admin-client.ts'

/** Any number nobody else locks. */
const TURN = 7_260_127

/**
 * Runs `fn` while no other test file runs its own.
 *
 * Installing sets the password of a role all databases of the server share, and PostgreSQL fails one of two who do
 * that at the same moment ("tuple concurrently updated").
 */
export function inTurn<T>(adminUrl: string, fn: () => Promise<T>): Promise<T> {
  return withAdminClient(urlOf(adminUrl, 'postgres'), async (client) => {
    await client.query('select pg_advisory_lock($1)', [TURN])
    return fn()
  })
}
