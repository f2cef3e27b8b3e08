import { TenantError } from 'rowhouse'
import { assertUnbound } from '../registry/assert-unbound.ts'
import type { HomeAddress, OperatorConnections } from '../registry/operator-connections.ts'
import { listServers } from '../registry/servers.ts'
import { listTenantTables, type TenantTable } from '../tenant-data/tenant-tables.ts'
import type { TablePair } from './captured-keys.ts'
import type { MoveHome } from './move-record.ts'

const SHARED_SCHEMA = 'public'

/** Lists the tenant's tables at both ends and pairs them by name. */
export async function pairTables(
  connections: OperatorConnections,
  source: MoveHome,
  target: MoveHome,
): Promise<TablePair[]> {
  const [there, here] = await Promise.all([tablesOf(connections, source), tablesOf(connections, target)])
  const differences = differencesOf(there, here)
  if (differences.length > 0) {
    throw impossible(
      `the tables of both homes differ: ${differences.slice(0, 5).join('; ')}; bring them to the same migration first`,
    )
  }
  return there.map((from) => ({ from, to: here.find(({ name }) => name === from.name) as TenantTable }))
}

export function tablesOf(connections: OperatorConnections, home: HomeAddress): Promise<TenantTable[]> {
  return connections.use(home, (client) => listTenantTables(client, home.schema ?? SHARED_SCHEMA))
}

/** What makes two lists of tables unfit to copy rows from one to the other, for people. */
function differencesOf(there: readonly TenantTable[], here: readonly TenantTable[]): string[] {
  const found: string[] = []
  for (const table of there) {
    const other = here.find(({ name }) => name === table.name)
    if (other === undefined) found.push(`"${table.name}" is missing in the target`)
    else if (shapeOf(table) !== shapeOf(other)) found.push(`"${table.name}" has other columns or another primary key`)
  }
  const known = new Set(there.map(({ name }) => name))
  return [
    ...found,
    ...here.filter(({ name }) => !known.has(name)).map(({ name }) => `"${name}" is missing in the source`),
  ]
}

/** Types named with a schema differ where the schema is the tenant's own: an enum of its own is the same one there. */
export function shapeOf({ columns, key, schema }: TenantTable): string {
  const types = columns.map(({ name, type }) => `${name} ${type.replace(`${schema}.`, '')}`)
  return JSON.stringify([types.sort(), key])
}

/**
 * Checks what can be known before anything is made.
 *
 * @throws {TenantError} `ERR_MOVE_IMPOSSIBLE` saying what stands in the way
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING` when a login is bound by policies, or may not switch triggers off
 */
export async function assertMovable(
  connections: OperatorConnections,
  source: MoveHome,
  target: MoveHome,
): Promise<void> {
  if (source.server === target.server && source.database === target.database && source.schema === target.schema) {
    throw impossible('it lives there already')
  }
  const servers = await listServers(connections.central)
  const [from, to] = [source, target].map(({ server }) => servers.find(({ name }) => name === server))
  if (to === undefined)
    throw impossible(`the registry knows no server "${target.server}"; add it with "rowhouse server add"`)
  if (to.state !== 'active') throw impossible(`server "${target.server}" is ${to.state} and takes no tenants`)
  if (from?.kind === 'citus' || to.kind === 'citus') throw impossible('tenants of a Citus server are not moved by this')
  for (const home of [source, { ...target, database: undefined }]) {
    await connections.use(home, (client) => assertUnbound(client, `move tenants on server "${home.server}"`))
  }
  const keyless = (await tablesOf(connections, source)).filter(({ key }) => key.length === 0)
  if (keyless.length > 0) {
    throw impossible(`table "${keyless[0]?.name}" has no primary key, so changed rows could not be told apart; add one`)
  }
}

/** Asserts that the target holds no row of the tenant: nobody's work is overwritten. */
export async function assertEmpty(connections: OperatorConnections, target: MoveHome, tenantId: string): Promise<void> {
  for (const { from, name } of await tablesOf(connections, target)) {
    const { rowCount } = await connections.use(target, (client) =>
      client.query(`select from ${from} where tenant_id = $1 limit 1`, [tenantId]),
    )
    if (rowCount === 0) continue
    throw impossible(`table "${name}" of the target holds rows of the tenant already; see "rowhouse orphans"`)
  }
}

export function impossible(why: string): TenantError {
  return new TenantError('ERR_MOVE_IMPOSSIBLE', `Cannot move the tenant: ${why}`)
}
