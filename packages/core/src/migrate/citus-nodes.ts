import type pg from 'pg'
import { ConfigError } from '../errors.ts'
import { requireAdminUrl, withAdminConnection } from './admin-connection.ts'

/** What differs from node to node in a URL of a Citus server. */
export interface CitusNode {
  readonly host: string
  readonly port: number
  readonly isCoordinator: boolean
}

/** Returns the operator's URL of a node: the coordinator's, with the host and port by which Citus itself knows the node. */
export function urlOfNode(coordinatorUrl: string, { host, port, isCoordinator }: CitusNode): string {
  if (isCoordinator) return coordinatorUrl
  const url = new URL(requireAdminUrl(coordinatorUrl))
  url.hostname = host.includes(':') ? `[${host}]` : host
  url.port = String(port)
  return url.href
}

/** Says that what is done over this connection is done on this node alone: Citus would repeat it on all others, or refuse it. */
export function onThisNodeOnly(url: string): string {
  const local = new URL(requireAdminUrl(url))
  const option = '-c citus.enable_ddl_propagation=off'
  const given = local.searchParams.get('options')
  local.searchParams.set('options', given === null ? option : `${given} ${option}`)
  return local.href
}

/**
 * Returns the nodes of a Citus server, the coordinator first.
 *
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the URL leads to no coordinator, or the login is no superuser, or the
 *   coordinator holds shards of its own
 */
export function readCitusNodes(url: string): Promise<CitusNode[]> {
  return withAdminConnection(url, async (client) => {
    await assertCoordinator(client)
    const { rows } = await client.query<CitusNode & { readonly holdsShards: boolean }>(
      `select nodename as host, nodeport as port, groupid = 0 as "isCoordinator", shouldhaveshards as "holdsShards"
         from pg_catalog.pg_dist_node where isactive and noderole = 'primary' order by groupid, nodeid`,
    )
    const nodes = rows.map(({ host, port, isCoordinator }) => ({ host, port, isCoordinator }))
    assertNoShardsHere(rows)
    // A coordinator that was never entered into its own list is one all the same.
    return nodes.some(({ isCoordinator }) => isCoordinator)
      ? nodes
      : [{ host: '', port: 0, isCoordinator: true }, ...nodes]
  })
}

interface CoordinatorFacts {
  readonly version: string | null
  readonly coordinator: boolean
  readonly superuser: boolean
}

async function assertCoordinator(client: pg.Client): Promise<void> {
  const { rows } = await client.query<CoordinatorFacts>(
    `select (select extversion from pg_catalog.pg_extension where extname = 'citus') as version,
            (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as superuser`,
  )
  const [facts] = rows
  if (facts?.version == null) {
    throw refused('its database has no extension "citus"; create it there, or add the server with kind "postgres"')
  }
  if (!facts.superuser) {
    throw refused('its operator is no superuser: what Citus opens to everybody, only one can close')
  }
  const found = await client.query<{ here: boolean }>('select pg_catalog.citus_is_coordinator() as here')
  if (found.rows[0]?.here !== true) throw refused('its URL leads to a worker; wanted the coordinator')
}

/** On a node with shards of its own, Citus writes them by COPY without asking their policies. */
function assertNoShardsHere(rows: readonly { isCoordinator: boolean; holdsShards: boolean }[]): void {
  if (!rows.some(({ isCoordinator, holdsShards }) => isCoordinator && holdsShards)) return
  throw refused(
    "its coordinator holds shards; run citus_set_node_property(host, port, 'shouldhaveshards', false) for it and move them away",
  )
}

function refused(found: string): ConfigError {
  return new ConfigError('ERR_CONFIG_INVALID', `Cannot use this Citus server: ${found}`)
}
