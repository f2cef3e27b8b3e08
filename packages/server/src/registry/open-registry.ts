import { createTenantAdmin, parseRootKey } from 'rowhouse/install'
import { createLifecycle, type Lifecycle } from '../lifecycle/lifecycle.ts'
import { findOrphans, type Orphan, removeOrphans } from './find-orphans.ts'
import { OperatorConnections } from './operator-connections.ts'
import { listServers, type RegisteredServer, setServerState } from './servers.ts'

/** The registry alone. */
export interface Registry {
  readonly servers: {
    /** Returns all servers by name, with how many tenants live on each. */
    list(): Promise<RegisteredServer[]>
    /** Lets no new tenant onto a server; those on it stay. */
    drain(name: string): Promise<RegisteredServer>
    activate(name: string): Promise<RegisteredServer>
  }
  /** Suspend with a cause, plans, legal holds. */
  readonly lifecycle: Lifecycle
  /** Compares registry and servers; empty when everything made for a tenant belongs to one. */
  findOrphans(): Promise<Orphan[]>
  /**
   * Removes what moves left behind and nobody needs, and returns it. What holds rows of tenants stays, for people to look at.
   *
   * @throws {UnavailableError} `ERR_TIMEOUT` when a transaction that does not end is in the way, `ERR_DATABASE_UNAVAILABLE`
   */
  removeOrphans(): Promise<Orphan[]>
  close(): Promise<void>
}

/**
 * Opens the registry without the journal: no unfinished run goes on in this process, so none can meet a process that does
 * not know the platform's steps.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED`, `ERR_CONFIG_INVALID` for a wrong URL or root key, `ERR_NOT_INSTALLED`
 * @throws {MigrationError} `ERR_PRIVILEGE_MISSING`
 * @throws {UnavailableError} `ERR_DATABASE_UNAVAILABLE`
 * @example
 * ```ts
 * import { openRegistry } from 'rowhouse-server'
 * const registry = await openRegistry({ url: process.env.ROWHOUSE_ADMIN_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY })
 * for (const { name, tenants, capacity } of await registry.servers.list()) console.log(name, tenants, capacity)
 * await registry.close()
 * ```
 */
export async function openRegistry(options: {
  readonly url: string | undefined
  readonly rootKey: string | undefined
}): Promise<Registry> {
  await assertCentral(options)
  const connections = new OperatorConnections(options.url as string)
  return {
    servers: {
      list: () => listServers(connections.central),
      drain: (name) => setServerState(connections, name, 'draining'),
      activate: (name) => setServerState(connections, name, 'active'),
    },
    lifecycle: createLifecycle(connections, parseRootKey(options.rootKey)),
    findOrphans: () => findOrphans(connections),
    removeOrphans: () => removeOrphans(connections),
    close: () => connections.close(),
  }
}

/** Asks the central database for a row, so that a wrong URL, login or database is named before anything begins. */
export async function assertCentral(options: {
  readonly url: string | undefined
  readonly rootKey: string | undefined
}): Promise<void> {
  const tenants = createTenantAdmin({ url: options.url, rootKey: options.rootKey })
  try {
    await tenants.list({ limit: 1 })
  } finally {
    await tenants.close()
  }
}
