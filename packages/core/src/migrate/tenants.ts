import pg from 'pg'
import { ConfigError, StatementError, TenantError, UnavailableError } from '../errors.ts'
import { toRowhouseError } from '../postgres/database-error.ts'
import { createApiKey, type NewApiKey } from '../resolve/api-key.ts'
import { canonicalHost } from '../resolve/host.ts'
import { parseRootKey, type RootKey } from '../seal/tenant-key.ts'
import { requireSlug } from '../tenant/slug.ts'
import type { TenantState } from '../tenant/tenant.ts'
import { isTenantId, requireTenantId, requireUnitId, type TenantId } from '../tenant/tenant-id.ts'

/** A tenant as the operator sees it. */
export interface RegisteredTenant {
  readonly id: TenantId
  readonly slug: string
  readonly name: string
  readonly state: TenantState
  readonly model: 'pooled'
  readonly epoch: number
  readonly keyVersion: number
  /** True while the key before the current one is still accepted. */
  readonly oldKeyAccepted: boolean
  readonly createdAt: Date
}

export interface TenantToCreate {
  readonly slug: string
  /** @defaultValue the slug */
  readonly name?: string
  /** UUID, for tenants that exist elsewhere already. @defaultValue a new UUIDv7 */
  readonly id?: string
}

export interface ApiKeyToCreate {
  readonly name: string
  /** Units the key is limited to. @defaultValue all */
  readonly units?: readonly string[]
  readonly expiresAt?: Date
}

/** A finished or running piece of work across tenants, from the log. */
export interface Crossing {
  readonly id: string
  readonly openedAt: Date
  readonly actor: string
  readonly reason: string
  readonly tenants: number
  readonly writes: boolean
  readonly outcome: 'done' | 'failed' | undefined
}

/** What an operator does with tenants. A tenant is named by slug or id. */
export interface TenantAdmin {
  /** @throws {TenantError} `ERR_TENANT_SLUG_INVALID`, `ERR_TENANT_SLUG_TAKEN` */
  create(tenant: TenantToCreate): Promise<RegisteredTenant>
  /** Returns tenants by slug; `after` is the last slug of the page before. */
  list(page?: { readonly limit?: number; readonly after?: string }): Promise<RegisteredTenant[]>
  find(tenant: string): Promise<RegisteredTenant | undefined>
  /** Refuses every statement of the tenant from the next one on. Data stays. */
  suspend(tenant: string): Promise<RegisteredTenant>
  resume(tenant: string): Promise<RegisteredTenant>
  /** Gives the tenant a new key; seals of the old one stay valid until `retireOldKey`. */
  rotateKey(tenant: string): Promise<RegisteredTenant>
  retireOldKey(tenant: string): Promise<RegisteredTenant>
  /** Lets a host lead to the tenant. Whoever calls this has proved that the tenant owns it. @throws {TenantError} `ERR_TENANT_DOMAIN_TAKEN` */
  addDomain(tenant: string, host: string): Promise<void>
  removeDomain(host: string): Promise<void>
  /** Returns the key once; only the hash of its secret is kept. */
  createApiKey(tenant: string, key: ApiKeyToCreate): Promise<NewApiKey>
  revokeApiKey(id: string): Promise<boolean>
  /** Returns the log of work across tenants, newest first. */
  crossings(page?: { readonly limit?: number }): Promise<Crossing[]>
  close(): Promise<void>
}

const FIRST_KEY_VERSION = 1
const MAX_PAGE = 1_000

const SELECT = `
  select t.id, t.slug, t.name, t.state, 'pooled' as model, r.epoch, r.key_version as "keyVersion",
         r.old_key_version is not null as "oldKeyAccepted", t.created_at as "createdAt"
    from rowhouse.tenant t join rowhouse.resident r on r.tenant_id = t.id`

/**
 * Opens the administration of tenants.
 *
 * @throws {ConfigError} `ERR_ADMIN_REQUIRED` without a URL, `ERR_CONFIG_INVALID` for a missing or short root key
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
  const pool = openPool(options.url)
  const asOwner = <T>(work: (client: pg.PoolClient) => Promise<T>) => inTransaction(pool, work)
  const change = (tenant: string, text: string, values: (found: RegisteredTenant) => unknown[]) =>
    asOwner(async (client) => {
      const found = await requireTenant(client, tenant)
      await client.query(text, values(found))
      return requireTenant(client, found.id)
    })
  return {
    create: (tenant) => asOwner((client) => create(client, rootKey, tenant)),
    list: ({ limit = 100, after = '' } = {}) =>
      asOwner(async (client) => {
        const text = `${SELECT} where t.slug > $1 order by t.slug limit $2`
        return (await client.query<RegisteredTenant>(text, [after, Math.min(limit, MAX_PAGE)])).rows
      }),
    find: (tenant) => asOwner((client) => find(client, tenant)),
    suspend: (tenant) => setState(asOwner, tenant, 'suspended'),
    resume: (tenant) => setState(asOwner, tenant, 'active'),
    rotateKey: (tenant) =>
      change(
        tenant,
        `update rowhouse.resident set old_key_version = key_version, old_ipad = ipad, old_opad = opad,
                key_version = $2, ipad = $3, opad = $4 where tenant_id = $1`,
        ({ id, keyVersion }) => {
          const { ipad, opad } = rootKey.deriveTenantKey(id, keyVersion + 1)
          return [id, keyVersion + 1, ipad, opad]
        },
      ),
    retireOldKey: (tenant) =>
      change(
        tenant,
        `update rowhouse.resident set old_key_version = null, old_ipad = null, old_opad = null where tenant_id = $1`,
        ({ id }) => [id],
      ),
    addDomain: (tenant, host) =>
      asOwner(async (client) => {
        const { id } = await requireTenant(client, tenant)
        await client.query('insert into rowhouse.domain (host, tenant_id) values ($1, $2)', [canonicalHost(host), id])
      }),
    removeDomain: (host) =>
      asOwner(async (client) => {
        await client.query('delete from rowhouse.domain where host = $1', [canonicalHost(host)])
      }),
    createApiKey: (tenant, key) => asOwner((client) => addApiKey(client, tenant, key)),
    revokeApiKey: (id) =>
      asOwner(async (client) => {
        const text = 'update rowhouse.api_key set revoked_at = now() where id = $1 and revoked_at is null'
        return (await client.query(text, [id])).rowCount === 1
      }),
    crossings: ({ limit = 100 } = {}) => asOwner((client) => listCrossings(client, Math.min(limit, MAX_PAGE))),
    close: () => pool.end(),
  }
}

type AsOwner = <T>(work: (client: pg.PoolClient) => Promise<T>) => Promise<T>

function openPool(url: string | undefined): pg.Pool {
  if (url === undefined || url === '') {
    throw new ConfigError(
      'ERR_ADMIN_REQUIRED',
      'Cannot administrate tenants without an operator login: set ROWHOUSE_ADMIN_URL to a login that may become "rowhouse_owner"',
    )
  }
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
    throw new UnavailableError('ERR_DATABASE_UNAVAILABLE', `Cannot reach the database: ${error.message}`, {
      cause: error,
    })
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
    throw explain(error)
  }
}

async function create(
  client: pg.PoolClient,
  rootKey: RootKey,
  { slug, name = slug, id }: TenantToCreate,
): Promise<RegisteredTenant> {
  requireSlug(slug)
  const tenantId = id === undefined ? await newId(client) : requireTenantId(id)
  await client.query('insert into rowhouse.tenant (id, slug, name) values ($1, $2, $3)', [tenantId, slug, name])
  const { ipad, opad } = rootKey.deriveTenantKey(tenantId, FIRST_KEY_VERSION)
  await client.query('insert into rowhouse.resident (tenant_id, key_version, ipad, opad) values ($1, $2, $3, $4)', [
    tenantId,
    FIRST_KEY_VERSION,
    ipad,
    opad,
  ])
  return requireTenant(client, tenantId)
}

async function newId(client: pg.PoolClient): Promise<TenantId> {
  const { rows } = await client.query<{ id: TenantId }>('select rowhouse.uuidv7() as id')
  return requireTenantId(rows[0]?.id ?? '')
}

async function find(client: pg.PoolClient, tenant: string): Promise<RegisteredTenant | undefined> {
  const column = isTenantId(tenant) ? 'id' : 'slug'
  const { rows } = await client.query<RegisteredTenant>(`${SELECT} where t.${column} = $1`, [tenant])
  return rows[0]
}

async function requireTenant(client: pg.PoolClient, tenant: string): Promise<RegisteredTenant> {
  const found = await find(client, tenant)
  if (found !== undefined) return found
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot find tenant "${tenant}": it does not exist`)
}

function setState(asOwner: AsOwner, tenant: string, state: TenantState): Promise<RegisteredTenant> {
  return asOwner(async (client) => {
    const { id } = await requireTenant(client, tenant)
    await client.query('update rowhouse.tenant set state = $2 where id = $1', [id, state])
    await client.query('update rowhouse.resident set state = $2 where tenant_id = $1', [id, state])
    return requireTenant(client, id)
  })
}

async function addApiKey(
  client: pg.PoolClient,
  tenant: string,
  { name, units, expiresAt }: ApiKeyToCreate,
): Promise<NewApiKey> {
  const { id } = await requireTenant(client, tenant)
  const key = createApiKey()
  await client.query(
    'insert into rowhouse.api_key (id, tenant_id, secret_sha256, name, units, expires_at) values ($1, $2, $3, $4, $5, $6)',
    [key.id, id, key.secretSha256, name, units?.map(requireUnitId) ?? null, expiresAt ?? null],
  )
  return key
}

async function listCrossings(client: pg.PoolClient, limit: number): Promise<Crossing[]> {
  const { rows } = await client.query(
    `select id, opened_at as "openedAt", actor, reason, cardinality(tenants) as tenants, writes, outcome
       from rowhouse.crossing order by opened_at desc limit $1`,
    [limit],
  )
  return rows.map((row) => ({ ...row, outcome: row.outcome ?? undefined }))
}

function explain(error: unknown): unknown {
  const known = toRowhouseError(error)
  if (!(known instanceof StatementError) || known.constraint?.kind !== 'unique') return known
  if (known.constraint.name === 'tenant_slug_key') {
    return new TenantError(
      'ERR_TENANT_SLUG_TAKEN',
      'Cannot name a tenant like this: the slug is taken; choose another one',
      { cause: error },
    )
  }
  if (known.constraint.name === 'domain_pkey') {
    return new TenantError(
      'ERR_TENANT_DOMAIN_TAKEN',
      'Cannot give a tenant this domain: it leads to a tenant already',
      { cause: error },
    )
  }
  return known
}
