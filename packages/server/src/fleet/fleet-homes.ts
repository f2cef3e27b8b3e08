import type { Model } from '../placing/placement-rules.ts'
import { CENTRAL, type HomeAddress, type OperatorConnections } from '../registry/operator-connections.ts'
import type { Runner } from './homes.ts'
import type { Freeze } from './migrate-home.ts'

/** A home as the central database knows it. */
export interface FleetHome extends HomeAddress {
  readonly model: Model
  readonly region: string
  readonly serverState: 'active' | 'draining' | 'down'
  /** Slug of the tenant whose own it is; undefined for shared tables. */
  readonly tenant: string | undefined
  /** Ring of that tenant; `shared` for shared tables. */
  readonly ring: string
  readonly plan: string | undefined
  readonly head: string | undefined
  readonly digest: string | undefined
  readonly fingerprint: string | undefined
  readonly state: 'current' | 'running' | 'failed'
  /** What went wrong the last time. */
  readonly error: string | undefined
  readonly frozen: Freeze | undefined
}

interface FleetHomeRow {
  readonly server: string
  readonly database: string
  readonly schema: string
  readonly region: string
  readonly serverState: FleetHome['serverState']
  readonly tenant: string | null
  readonly ring: string | null
  readonly plan: string | null
  readonly head: string | null
  readonly digest: string | null
  readonly fingerprint: string | null
  readonly state: FleetHome['state']
  readonly error: string | null
  readonly until: Date | null
  readonly reason: string | null
}

/** Homes a tenant has left are nobody's: they are not visited. */
const SELECT = `
  select h.server, h.database_name as database, h.schema_name as schema, s.region, s.state as "serverState", t.slug as tenant, t.ring, t.plan,
         h.head, h.digest, h.fingerprint, h.state, h.error,
         case when h.frozen_until > now() then h.frozen_until end as until, h.frozen_for as reason
    from rowhouse.fleet_home h
    join rowhouse.server s on s.name = h.server
    left join rowhouse.tenant t on t.id = h.tenant_id
    left join rowhouse.placement p on p.tenant_id = h.tenant_id
   where (h.tenant_id is null
          or (p.server, coalesce(p.database_name, ''), coalesce(p.schema_name, '')) = (h.server, h.database_name, h.schema_name))`

/** Enters homes that are new to the list, then returns those whose migrations differ from the wanted ones, in one question. */
export function findHomesBehind(connections: OperatorConnections, digest: string): Promise<FleetHome[]> {
  return connections.transact(CENTRAL, async (client) => {
    await client.query('select rowhouse.enter_homes()')
    const text = `${SELECT} and (h.digest is distinct from $1 or h.state <> 'current') order by 1, 2, 3`
    return (await client.query<FleetHomeRow>(text, [digest])).rows.map(toFleetHome)
  })
}

/** Returns every home, by server, database and schema. */
export function listHomes(connections: OperatorConnections): Promise<FleetHome[]> {
  return connections.transact(CENTRAL, async (client) => {
    await client.query('select rowhouse.enter_homes()')
    return (await client.query<FleetHomeRow>(`${SELECT} order by 1, 2, 3`)).rows.map(toFleetHome)
  })
}

/** Returns the last migrations that homes are known to have, each once. */
export async function listHeads(central: Runner): Promise<string[]> {
  const { rows } = await central.query<{ head: string }>(
    'select distinct head from rowhouse.fleet_home where head is not null',
  )
  return rows.map(({ head }) => head)
}

function toFleetHome(row: FleetHomeRow): FleetHome {
  const { database, schema, until, reason } = row
  const model = database !== '' ? 'database' : schema !== '' ? 'schema' : 'pooled'
  return {
    server: row.server,
    database: database === '' ? undefined : database,
    schema: schema === '' ? undefined : schema,
    model,
    region: row.region,
    serverState: row.serverState,
    tenant: row.tenant ?? undefined,
    ring: row.ring ?? 'shared',
    plan: row.plan ?? undefined,
    head: row.head ?? undefined,
    digest: row.digest ?? undefined,
    fingerprint: row.fingerprint ?? undefined,
    state: row.state,
    error: row.error ?? undefined,
    frozen: until === null ? undefined : { until, reason: reason ?? '' },
  }
}
