import type pg from 'pg'
import type { HomeAddress } from '../registry/operator-connections.ts'

/** Anything that runs statements. */
export type Runner = Pick<pg.ClientBase, 'query'>

/** What the central database is told about a home. */
export interface HomeToRegister extends HomeAddress {
  /** The tenant whose own it is; undefined for shared tables. */
  readonly tenantId?: string | undefined
  /** Id of the migration that ran there last; undefined where none ran yet. */
  readonly head?: string | undefined
  /** `digestOf` the migrations that ran there. Left out, the next run of the fleet looks at the home and finds out. */
  readonly digest?: string | undefined
}

const REGISTER = `
  insert into rowhouse.fleet_home (server, database_name, schema_name, tenant_id, head, digest) values ($1, $2, $3, $4, $5, $6)
  on conflict (server, database_name, schema_name) do update
    set tenant_id = excluded.tenant_id, head = excluded.head, digest = excluded.digest, state = 'current', error = null, changed_at = now()`

/**
 * Enters a home into the central list of the fleet, or replaces what the list says of it.
 *
 * @param central  a connection to the central database, as `rowhouse_owner`; inside a transaction the entry is part of it
 */
export async function registerHome(central: Runner, home: HomeToRegister): Promise<void> {
  const { server, database = '', schema = '', tenantId = null, head = null, digest = null } = home
  await central.query(REGISTER, [server, database, schema, tenantId, head, digest])
}

/** Names a home for people: `eu-1`, `eu-1/t_acme_…`, `eu-1, database "t_acme_…"`. */
export function nameOfHome({ server, database, schema }: HomeAddress): string {
  return `${server}${database === undefined ? '' : `, database "${database}"`}${schema === undefined ? '' : `, schema "${schema}"`}`
}
