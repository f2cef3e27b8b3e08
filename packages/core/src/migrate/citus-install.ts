import { readdirSync, readFileSync } from 'node:fs'
import type pg from 'pg'
import { MigrationError } from '../errors.ts'
import { requireAdminUrl, withAdminConnection } from './admin-connection.ts'
import { toAdminError } from './admin-error.ts'
import { onThisNodeOnly, readCitusNodes, urlOfNode } from './citus-nodes.ts'
import { alignResidents } from './citus-residents.ts'
import { type InstallOptions, type InstallReport, install } from './install.ts'

export interface InstallCitusOptions extends Omit<InstallOptions, 'dryRun'> {
  /**
   * URLs of nodes that are going to be added to the cluster: they get everything, with the keys of all tenants, before
   * `citus_add_node` lets Citus put tables there. Their databases have the extension already.
   */
  readonly newNodes?: readonly string[]
}

/**
 * Installs Rowhouse on every node of a Citus server, or brings all of them up to date.
 *
 * On each node: what `install` does, then what differs where tables are distributed, then the rights that Citus and
 * PostgreSQL give to everybody and no tenant should have. The workers are reached as Citus knows them, with user, password
 * and database of the coordinator's URL. Afterwards all nodes hold the same tenants' keys as the coordinator. Run it again
 * after each `ALTER EXTENSION citus UPDATE`, and before a node that was disabled is activated again.
 *
 * @param options.url  a superuser's, of the coordinator; its database has the extension
 * @throws {ConfigError} `ERR_CONFIG_INVALID` when the URL leads to no coordinator, its login is no superuser, or the
 *   coordinator holds shards; and what `install` throws
 * @throws {MigrationError} what `install` throws
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE` when a node cannot be reached; safe to retry
 * @example
 * ```ts
 * import { installCitus } from 'rowhouse/install'
 * await installCitus({ url: process.env.CITUS_ADMIN_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY, appPassword: process.env.CITUS_APP_PASSWORD as string })
 * ```
 * @see docs/guides/citus.md
 */
export async function installCitus({ newNodes = [], ...options }: InstallCitusOptions): Promise<InstallReport> {
  const coordinator = requireAdminUrl(options.url)
  const nodes = await readCitusNodes(coordinator)
  const urls = [...nodes.map((node) => urlOfNode(coordinator, node)), ...newNodes.map(requireAdminUrl)].map(
    onThisNodeOnly,
  )
  const reports: InstallReport[] = []
  for (const url of urls) {
    reports.push(await install({ ...options, url }))
    await withAdminConnection(url, applyCitusFiles)
  }
  const [here, ...others] = urls
  for (const other of others) await alignResidents(here as string, other)
  return reports[0] as InstallReport
}

const FOLDER = new URL('../../sql/citus/', import.meta.url)

/** All of them in one transaction: a node is either prepared or as it was. */
async function applyCitusFiles(client: pg.Client): Promise<void> {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.sql'))
  await client.query('begin')
  for (const name of files.sort()) {
    await client.query(readFileSync(new URL(name, FOLDER), 'utf8')).catch((error: Error) => {
      const known = toAdminError(error, 'install on a Citus server')
      if (known instanceof MigrationError) throw known
      throw new MigrationError(
        'ERR_MIGRATION_FAILED',
        `Cannot apply "citus/${name}": ${error.message}; nothing of it was kept`,
        {
          cause: error,
        },
      )
    })
  }
  await client.query('commit')
}
