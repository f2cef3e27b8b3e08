import { randomBytes } from 'node:crypto'
import { urlOf, withAdminClient } from './admin-client.ts'

/** Coordinator of a cluster with at least two workers, as superuser; see docs/guides/citus.md. */
export const CITUS_URL = process.env.ROWHOUSE_TEST_CITUS_URL

/** For titles: `needs ROWHOUSE_TEST_CITUS_URL: …`. */
export const whyCitus = `a superuser's URL of a coordinator${CITUS_URL ? '' : ', which is not set'}`

/** A database of its own on each node of the cluster, known to each other, without Rowhouse. */
export interface CitusCluster {
  /** Superuser's URL of the coordinator. */
  readonly coordinatorUrl: string
  /** Superuser's URLs of coordinator and workers, in this order. */
  readonly nodeUrls: readonly string[]
  /** A node that is prepared and not added. */
  readonly spare: { readonly url: string; add(): Promise<void> } | undefined
  appUrl(password: string): string
  drop(): Promise<void>
}

/** @param withSpare  keeps the last worker out of the cluster */
export async function createCitusCluster(withSpare = false): Promise<CitusCluster> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const servers = await readNodes(CITUS_URL as string)
  const members = withSpare ? servers.slice(0, -1) : servers
  const spare = withSpare ? servers.at(-1) : undefined
  await makeCluster(servers, members, name)
  const nodeUrls = members.map(({ url }) => urlOf(url, name))
  const coordinatorUrl = nodeUrls[0] as string
  return {
    coordinatorUrl,
    nodeUrls,
    spare: spare && {
      url: urlOf(spare.url, name),
      add: () =>
        withAdminClient(coordinatorUrl, async (client) => {
          await client.query('select citus_add_node($1, $2)', [spare.host, spare.port])
        }),
    },
    appUrl: (password) => urlOf(coordinatorUrl, name, { user: 'rowhouse_app', password }),
    drop: async () => {
      for (const { url } of servers) {
        await withAdminClient(url, (client) => client.query(`drop database if exists ${name} with (force)`))
      }
    },
  }
}

interface NodeServer {
  readonly host: string
  readonly port: number
  readonly url: string
}

async function readNodes(coordinatorUrl: string): Promise<NodeServer[]> {
  return withAdminClient(coordinatorUrl, async (client) => {
    const { rows } = await client.query<{ host: string; port: number }>(
      `select nodename as host, nodeport as port from pg_dist_node where isactive and noderole = 'primary' order by groupid`,
    )
    return rows.map(({ host, port }) => {
      const url = new URL(coordinatorUrl)
      url.host = `${host}:${port}`
      return { host, port, url: url.href }
    })
  })
}

/** A database of its own on each node, known to each other. */
async function makeCluster(
  servers: readonly NodeServer[],
  members: readonly NodeServer[],
  name: string,
): Promise<void> {
  for (const { url } of servers) {
    await withAdminClient(url, (client) => client.query(`create database ${name}`))
    await withAdminClient(urlOf(url, name), (client) => client.query('create extension citus'))
  }
  const [coordinator, ...workers] = members
  await withAdminClient(urlOf(coordinator?.url as string, name), async (client) => {
    await client.query('select citus_set_coordinator_host($1, $2)', [coordinator?.host, coordinator?.port])
    for (const { host, port } of workers) await client.query('select citus_add_node($1, $2)', [host, port])
  })
}
