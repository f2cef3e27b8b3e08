import pg from 'pg'
import type { NewApiKey } from '../resolve/api-key.ts'
import { parseRootKey } from '../seal/tenant-key.ts'
import { requireAdminUrl } from './admin-connection.ts'
import { toAdminError, toConnectError } from './admin-error.ts'
import {
  type ApiKeyToCreate,
  addApiKey,
  addDomain,
  assertApiKey,
  type Crossing,
  createDecoy,
  createTenant,
  type Decoy,
  type DecoyToCreate,
  findTenant,
  listCrossings,
  listDomains,
  listTenants,
  type RegisteredTenant,
  removeDomain,
  requireHostName,
  retireOldKey,
  revokeApiKey,
  rotateKey,
  setState,
  type TenantToCreate,
} from './tenant-registry.ts'

/**
 * What an operator does with tenants. A tenant is named by slug or id.
 *
 * Besides what each method says: `ERR_TENANT_NOT_FOUND` for a name no tenant has, `ERR_NOT_INSTALLED`,
 * `ERR_PRIVILEGE_MISSING` for a login that may not become `rowhouse_owner`, `ERR_DATABASE_UNAVAILABLE`.
 */
export interface TenantAdmin {
  /**
   * @throws {TenantError} `ERR_TENANT_SLUG_INVALID`, `ERR_TENANT_SLUG_TAKEN`
   * @throws {ConfigError} `ERR_CONFIG_INVALID` when the root key is not the one the database was installed with
   * @throws {TypeError} for an id that is no lower-case UUID, @throws {RangeError} for one that is taken, or a bad name
   */
  create(tenant: TenantToCreate): Promise<RegisteredTenant>
  /**
   * Creates a suspended tenant whose rows are bait, and the token those rows carry: a row with it that comes back to
   * anybody raises an alarm. Give the token to `createRowhouse({ honeyTokens })`; it is shown once.
   *
   * @throws {TenantError} `ERR_TENANT_SLUG_INVALID`, `ERR_TENANT_SLUG_TAKEN`
   * @throws {ConfigError} `ERR_CONFIG_INVALID` when the root key is not the one the database was installed with
   */
  createDecoy(tenant: DecoyToCreate): Promise<Decoy>
  /** Returns tenants by slug, 1 to 1,000 of them; `after` is the last slug of the page before. @defaultValue 100 */
  list(page?: { readonly limit?: number; readonly after?: string }): Promise<RegisteredTenant[]>
  find(tenant: string): Promise<RegisteredTenant | undefined>
  /** Refuses every statement of the tenant from the next one on. Data stays. */
  suspend(tenant: string): Promise<RegisteredTenant>
  resume(tenant: string): Promise<RegisteredTenant>
  /**
   * Gives the tenant a new key; seals of the old one stay valid until `retireOldKey`. Rotating again before that retires
   * the older one: two keys are accepted at a time.
   *
   * @throws {ConfigError} `ERR_CONFIG_INVALID` when the root key is not the one the database was installed with
   */
  rotateKey(tenant: string): Promise<RegisteredTenant>
  retireOldKey(tenant: string): Promise<RegisteredTenant>
  /** Lets a host lead to the tenant. Whoever calls this has proved that the tenant owns it. @throws {TenantError} `ERR_TENANT_DOMAIN_TAKEN` @throws {RangeError} for what is no host name */
  addDomain(tenant: string, host: string): Promise<void>
  /** Returns the hosts that lead to the tenant, in alphabetical order: look here before removing one for a tenant. */
  domains(tenant: string): Promise<string[]>
  /** Returns false when no tenant had the host. */
  removeDomain(host: string): Promise<boolean>
  /** Returns the key once; only the hash of its secret is kept. @throws {RangeError} for a bad name, expiry or empty units */
  createApiKey(tenant: string, key: ApiKeyToCreate): Promise<NewApiKey>
  revokeApiKey(id: string): Promise<boolean>
  /** Returns the log of work across tenants, newest first, 1 to 1,000 entries. @defaultValue 100 */
  crossings(page?: { readonly limit?: number }): Promise<Crossing[]>
  close(): Promise<void>
}

const DEFAULT_PAGE = 100
const MAX_PAGE = 1_000

/**
 * Opens the administration of tenants.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without a URL, `ERR_CONFIG_INVALID` for one that is none and for a missing or
 *   short root key
 * @example
 * ```ts
 * import { createTenantAdmin } from 'rowhouse/install'
 * const tenants = createTenantAdmin({ url: process.env.ROWHOUSE_ADMIN_URL, rootKey: process.env.ROWHOUSE_ROOT_KEY })
 * const acme = await tenants.create({ slug: 'acme', name: 'Acme Forwarding' })
 * console.log(acme.id)
 * await tenants.close()
 * ```
 */
export function createTenantAdmin(options: { url: string | undefined; rootKey: string | undefined }): TenantAdmin {
  const rootKey = parseRootKey(options.rootKey)
  const url = requireAdminUrl(options.url)
  const pool = openPool(url)
  const asOwner = <T>(work: (client: pg.PoolClient) => Promise<T>) => inTransaction(pool, work)
  return {
    create: (tenant) => asOwner((client) => createTenant(client, rootKey, tenant)),
    createDecoy: (tenant) => asOwner((client) => createDecoy(client, url, rootKey, tenant)),
    list: async ({ limit = DEFAULT_PAGE, after = '' } = {}) => {
      const entries = requireLimit(limit)
      return asOwner((client) => listTenants(client, entries, after))
    },
    find: (tenant) => asOwner((client) => findTenant(client, tenant)),
    suspend: (tenant) => asOwner((client) => setState(client, url, tenant, 'suspended')),
    resume: (tenant) => asOwner((client) => setState(client, url, tenant, 'active')),
    rotateKey: (tenant) => asOwner((client) => rotateKey(client, url, rootKey, tenant)),
    retireOldKey: (tenant) => asOwner((client) => retireOldKey(client, url, tenant)),
    addDomain: async (tenant, host) => {
      const name = requireHostName(host)
      return asOwner((client) => addDomain(client, tenant, name))
    },
    domains: (tenant) => asOwner((client) => listDomains(client, tenant)),
    removeDomain: async (host) => {
      const name = requireHostName(host)
      return asOwner((client) => removeDomain(client, name))
    },
    createApiKey: async (tenant, key) => {
      assertApiKey(key)
      return asOwner((client) => addApiKey(client, tenant, key))
    },
    revokeApiKey: (id) => asOwner((client) => revokeApiKey(client, id)),
    crossings: async ({ limit = DEFAULT_PAGE } = {}) => {
      const entries = requireLimit(limit)
      return asOwner((client) => listCrossings(client, entries))
    },
    close: () => pool.end(),
  }
}

function requireLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return limit
  throw new RangeError(`Cannot return ${limit} entries at a time: wanted a limit from 1 to ${MAX_PAGE}`)
}

function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: 2,
    application_name: 'rowhouse-admin',
    connectionTimeoutMillis: 10_000,
  })
  pool.on('error', () => {})
  return pool
}

async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error: Error) => {
    throw toConnectError(error)
  })
  try {
    await client.query('begin')
    await client.query('set local role rowhouse_owner')
    const result = await work(client)
    await client.query('commit')
    client.release()
    return result
  } catch (error) {
    const broken = await client.query('rollback').then(
      () => false,
      () => true,
    )
    client.release(broken)
    throw toAdminError(error, 'administrate tenants')
  }
}
