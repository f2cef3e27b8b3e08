import type pg from 'pg'
import { MigrationError, UnavailableError } from 'rowhouse'
import type { OperatorConnections } from '../registry/operator-connections.ts'

/** Key of the session advisory lock on the central database: one run of the fleet at a time. */
const FLEET_LOCK = 7_262_374_404

interface RunningRow {
  readonly operator: string
  readonly started_at: Date
}

/** The one run of the fleet. */
export interface FleetLock {
  /** Aborts when the lock is lost with its connection: another operator may start from then on. */
  readonly lost: AbortSignal
}

/**
 * Runs `fn` as the only operator at work on the fleet. The lock is a session's: it ends with the process.
 *
 * @throws {MigrationError} `ERR_MIGRATION_LOCKED` naming who is at work since when
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 */
export async function withFleetLock<T>(
  connections: OperatorConnections,
  fn: (lock: FleetLock) => Promise<T>,
): Promise<T> {
  const client = await connections.central.connect().catch((error: Error) => {
    throw new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the central database: ${error.message}`, {
      cause: error,
    })
  })
  const lost = new AbortController()
  const onLost = (error: Error) => lost.abort(lockLost(error))
  client.on('error', onLost)
  let broken = true
  try {
    const { rows } = await client.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [FLEET_LOCK])
    if (rows[0]?.locked !== true) throw await lockedByOther(client)
    const result = await fn({ lost: lost.signal })
    await client.query('select pg_advisory_unlock($1)', [FLEET_LOCK])
    broken = false
    return result
  } finally {
    client.off('error', onLost)
    client.release(broken)
  }
}

async function lockedByOther(client: pg.PoolClient): Promise<MigrationError> {
  await client.query('begin; set local role rowhouse_owner')
  const { rows } = await client.query<RunningRow>(
    `select operator, started_at from rowhouse.fleet_run where state = 'running' order by id desc limit 1`,
  )
  await client.query('rollback')
  const [running] = rows
  const who =
    running === undefined ? 'another operator' : `${running.operator}, since ${running.started_at.toISOString()}`
  return new MigrationError(
    'ERR_MIGRATION_LOCKED',
    `Cannot migrate the fleet now: ${who}, is at work; wait for that run to end`,
  )
}

function lockLost(cause: Error): UnavailableError {
  return new UnavailableError(
    'ERR_DATABASE_UNAVAILABLE',
    `Cannot go on: the connection that held the fleet's lock is lost (${cause.message}); homes that were at work are finished or undone, run again`,
    { cause },
  )
}
