import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { digestOf } from './ledger.ts'
import type { Migration } from './migration.ts'

/** How far the fleet is, as the central database knows it. No other server is asked. */
export interface FleetStatus {
  /** Id of the newest migration of the folder. */
  readonly target: string | undefined
  readonly homes: number
  readonly current: number
  /** Behind and nothing went wrong; includes the frozen and unreachable ones. */
  readonly behind: number
  readonly failed: number
  readonly frozen: number
  /** Homes on servers that are marked as down. */
  readonly unreachable: number
  /** How many homes have which migration as their last, by server; the largest group first. */
  readonly heads: readonly { readonly server: string; readonly head: string | undefined; readonly homes: number }[]
  /** Up to 100. */
  readonly failures: readonly {
    readonly server: string
    readonly database: string | undefined
    readonly schema: string | undefined
    readonly tenant: string | undefined
    readonly error: string
  }[]
  /** The last run; undefined where there never was one. */
  readonly run: FleetRunRecord | undefined
}

export interface FleetRunRecord {
  readonly id: number
  readonly operator: string
  readonly startedAt: Date
  readonly endedAt: Date | undefined
  /** `running` also after a kill, until the next run finds that nobody holds the lock. */
  readonly state: 'running' | 'done' | 'failed' | 'stopped' | 'interrupted'
  readonly reason: string | undefined
  readonly target: string | undefined
  readonly done: number
  readonly failed: number
}

const COUNTS = `
  select count(*)::int as homes,
         count(*) filter (where h.digest = $1 and h.state = 'current')::int as current,
         count(*) filter (where h.digest is distinct from $1 and h.state <> 'failed' or h.state = 'running')::int as behind,
         count(*) filter (where h.state = 'failed')::int as failed,
         count(*) filter (where h.frozen_until > now())::int as frozen,
         count(*) filter (where s.state = 'down')::int as unreachable
    from rowhouse.fleet_home h join rowhouse.server s on s.name = h.server`

const HEADS = `
  select server, head, count(*)::int as homes from rowhouse.fleet_home group by server, head order by homes desc, server, head`

const FAILURES = `
  select h.server, nullif(h.database_name, '') as database, nullif(h.schema_name, '') as schema, t.slug as tenant, coalesce(h.error, '') as error
    from rowhouse.fleet_home h left join rowhouse.tenant t on t.id = h.tenant_id
   where h.state = 'failed' order by h.changed_at desc limit 100`

const LAST_RUN = `
  select id::int, operator, started_at as "startedAt", ended_at as "endedAt", state, reason, target, done, failed
    from rowhouse.fleet_run order by id desc limit 1`

/**
 * Returns how far the fleet is from the migrations of a folder.
 *
 * @example
 * ```ts
 * import { fleetStatus, OperatorConnections, readMigrations } from 'rowhouse-server'
 * const connections = new OperatorConnections(process.env.ROWHOUSE_ADMIN_URL ?? '')
 * const { homes, current, failed } = await fleetStatus(connections, await readMigrations('migrations'))
 * console.log(`${current} of ${homes} current, ${failed} failed`)
 * ```
 */
export function fleetStatus(connections: OperatorConnections, migrations: readonly Migration[]): Promise<FleetStatus> {
  return connections.transact(CENTRAL, async (client) => {
    await client.query('select rowhouse.enter_homes()')
    const counts = await client.query(COUNTS, [digestOf(migrations)])
    const heads = await client.query(HEADS)
    const failures = await client.query(FAILURES)
    const run = (await client.query(LAST_RUN)).rows[0]
    return {
      target: migrations.at(-1)?.id,
      ...counts.rows[0],
      heads: heads.rows.map((row) => ({ ...row, head: row.head ?? undefined })),
      failures: failures.rows.map(({ database, schema, tenant, ...row }) => ({
        ...row,
        database: database ?? undefined,
        schema: schema ?? undefined,
        tenant: tenant ?? undefined,
      })),
      run: run && {
        ...run,
        endedAt: run.endedAt ?? undefined,
        reason: run.reason ?? undefined,
        target: run.target ?? undefined,
      },
    }
  })
}
