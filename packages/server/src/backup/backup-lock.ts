import { UnavailableError } from 'rowhouse'
import type { OperatorConnections } from '../registry/operator-connections.ts'

/** Key space of the advisory locks on scheduled work, in the central database. */
const SEED = 7_262_374

/**
 * Runs `fn` unless another process is at the same work, which is what undefined says. The lock is a session's: it ends with
 * the process.
 *
 * @param work  e.g. `backup of 0190…`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 */
export async function unlessAtWork<T>(
  connections: Pick<OperatorConnections, 'central'>,
  work: string,
  fn: () => Promise<T>,
): Promise<T | undefined> {
  const client = await connections.central.connect().catch((cause: Error) => {
    throw new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the central database: ${cause.message}`, {
      cause,
    })
  })
  // Without its connection the lock is gone. Whoever takes it then makes one backup too many, and no harm.
  const ignore = () => {}
  client.on('error', ignore)
  let broken = true
  try {
    const key = `rowhouse ${work}`
    const text = `select pg_try_advisory_lock(hashtextextended($1, ${SEED})) as locked`
    const { rows } = await client.query<{ locked: boolean }>(text, [key])
    if (rows[0]?.locked !== true) {
      broken = false
      return undefined
    }
    const result = await fn()
    await client
      .query(`select pg_advisory_unlock(hashtextextended($1, ${SEED}))`, [key])
      .then(() => {
        broken = false
      })
      .catch(ignore)
    return result
  } finally {
    client.off('error', ignore)
    client.release(broken)
  }
}
