import type pg from 'pg'

/** A session that works for a tenant. */
export interface TenantSession {
  readonly pid: number
  /** In a transaction, and waiting for its client. */
  readonly idle: boolean
}

/** Every scoped statement and transaction holds its tenant's lock shared; what shuts a tenant out holds it alone. */
const WORKING = `
  select a.pid, a.state like 'idle in transaction%' as idle
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
   where l.locktype = 'advisory' and l.mode = 'ShareLock' and l.objsubid = 1 and l.granted and a.pid <> pg_backend_pid()
     and l.database = (select oid from pg_database where datname = current_database())
     and ((l.classid::bigint << 32) | l.objid::bigint) = $1::bigint`

type Runner = Pick<pg.ClientBase, 'query'>

/** @param lockKey  of the tenant */
export async function findTenantSessions(client: Runner, lockKey: string): Promise<TenantSession[]> {
  return (await client.query<TenantSession>(WORKING, [lockKey])).rows
}

/**
 * Ends what sessions do for a tenant. One that is busy serves others next: only its statement is cancelled. One that
 * idles in a transaction serves nobody else, and is ended.
 */
export async function endTenantSessions(client: Runner, sessions: readonly TenantSession[]): Promise<void> {
  for (const { pid, idle } of sessions) {
    await client.query(`select ${idle ? 'pg_terminate_backend' : 'pg_cancel_backend'}($1)`, [pid])
  }
}
