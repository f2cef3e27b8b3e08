/** What stands in the registry, and the statements that change it. Each runs in a transaction as `rowhouse_owner`. */

import { isIP } from 'node:net'
import type pg from 'pg'
import { ConfigError, TenantError } from '../errors.ts'
import { SQLSTATE } from '../postgres/sqlstate.ts'
import { createApiKey, type NewApiKey } from '../resolve/api-key.ts'
import { canonicalHost } from '../resolve/host.ts'
import type { RootKey } from '../seal/tenant-key.ts'
import { PLATFORM } from '../tenant/platform.ts'
import { requireSlug } from '../tenant/slug.ts'
import type { TenantState } from '../tenant/tenant.ts'
import { isTenantId, requireTenantId, requireUnitId, type TenantId } from '../tenant/tenant-id.ts'
import { createHoneyToken } from './honey-token.ts'

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
  /** Shown to people, 1 to 200 characters. @defaultValue the slug */
  readonly name?: string
  /** UUID, for tenants that exist elsewhere already. @defaultValue a new UUIDv7 */
  readonly id?: string
}

export type DecoyToCreate = Pick<TenantToCreate, 'slug' | 'name'>

/** A tenant nobody works as, whose rows are bait. */
export interface Decoy {
  readonly tenant: RegisteredTenant
  /** Goes into a text column of each honey row and into `honeyTokens` of every application; kept nowhere else. */
  readonly honeyToken: string
}

export interface ApiKeyToCreate {
  /** Tells the keys of a tenant apart, 1 to 200 characters. */
  readonly name: string
  /** Units the key is limited to, at least one. @defaultValue all */
  readonly units?: readonly string[]
  /** In the future. @defaultValue never */
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

const FIRST_KEY_VERSION = 1
const MAX_NAME_LENGTH = 200

const SELECT = `
  select t.id, t.slug, t.name, t.state, 'pooled' as model, r.epoch, r.key_version as "keyVersion",
         r.old_key_version is not null as "oldKeyAccepted", t.created_at as "createdAt"
    from rowhouse.tenant t join rowhouse.resident r on r.tenant_id = t.id`

/** Two who change one tenant at the same time take turns: the second sees what the first one wrote. */
const FOR_CHANGE = ' for update of r'

export async function createTenant(
  client: pg.PoolClient,
  rootKey: RootKey,
  { slug, name = slug, id }: TenantToCreate,
): Promise<RegisteredTenant> {
  requireSlug(slug)
  requireName(name, 'tenant')
  const tenantId = id === undefined ? await newId(client) : requireFreeId(id)
  await assertRootKey(client, rootKey)
  const text = 'insert into rowhouse.tenant (id, slug, name) values ($1, $2, $3)'
  await client.query(text, [tenantId, slug, name]).catch((error) => {
    throw explainTaken(error, slug, tenantId)
  })
  const { ipad, opad } = rootKey.deriveTenantKey(tenantId, FIRST_KEY_VERSION)
  await client.query('insert into rowhouse.resident (tenant_id, key_version, ipad, opad) values ($1, $2, $3, $4)', [
    tenantId,
    FIRST_KEY_VERSION,
    ipad,
    opad,
  ])
  return requireTenant(client, tenantId)
}

/** The database refuses every seal of a suspended tenant, and no request is let in as one. */
export async function createDecoy(client: pg.PoolClient, rootKey: RootKey, tenant: DecoyToCreate): Promise<Decoy> {
  const { id } = await createTenant(client, rootKey, tenant)
  return { tenant: await setState(client, id, 'suspended'), honeyToken: createHoneyToken() }
}

/** The id itself may be chosen once; whether another tenant has it, the primary key says. */
function requireFreeId(id: string): TenantId {
  if (id === PLATFORM.id) throw new RangeError(`Cannot create a tenant with id "${id}": it stands for the platform`)
  return requireTenantId(id)
}

function explainTaken(error: unknown, slug: string, id: TenantId): unknown {
  if (violates(error, 'tenant_slug_key')) {
    return new TenantError(
      'ERR_TENANT_SLUG_TAKEN',
      `Cannot name a tenant "${slug}": the slug is taken; choose another one`,
      { cause: error },
    )
  }
  if (!violates(error, 'tenant_pkey')) return error
  return new RangeError(`Cannot create a tenant with id "${id}": there is one with this id`, { cause: error })
}

/** Keys derived from another root key would make seals that the database refuses, one tenant at a time. */
async function assertRootKey(client: pg.PoolClient, rootKey: RootKey): Promise<void> {
  const { ipad, opad } = rootKey.deriveTenantKey(PLATFORM.id, PLATFORM.keyVersion)
  const { rows } = await client.query<{ same: boolean }>(
    'select ipad = $2 and opad = $3 as same from rowhouse.resident where tenant_id = $1',
    [PLATFORM.id, ipad, opad],
  )
  if (rows[0]?.same === true) return
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    'Cannot make a key for a tenant from this root key: the database was installed with another one; set ROWHOUSE_ROOT_KEY to that one',
  )
}

async function newId(client: pg.PoolClient): Promise<TenantId> {
  const { rows } = await client.query<{ id: TenantId }>('select rowhouse.uuidv7() as id')
  return requireTenantId(rows[0]?.id ?? '')
}

export async function listTenants(client: pg.PoolClient, limit: number, after: string): Promise<RegisteredTenant[]> {
  const text = `${SELECT} where t.slug > $1 order by t.slug limit $2`
  return (await client.query<RegisteredTenant>(text, [after, limit])).rows
}

export async function findTenant(
  client: pg.PoolClient,
  tenant: string,
  lock = '',
): Promise<RegisteredTenant | undefined> {
  const column = isTenantId(tenant) ? 'id' : 'slug'
  const { rows } = await client.query<RegisteredTenant>(`${SELECT} where t.${column} = $1${lock}`, [tenant])
  return rows[0]
}

async function requireTenant(client: pg.PoolClient, tenant: string, lock = ''): Promise<RegisteredTenant> {
  const found = await findTenant(client, tenant, lock)
  if (found !== undefined) return found
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot find tenant "${tenant}": it does not exist`)
}

export async function setState(client: pg.PoolClient, tenant: string, state: TenantState): Promise<RegisteredTenant> {
  const { id } = await requireTenant(client, tenant, FOR_CHANGE)
  await client.query('update rowhouse.tenant set state = $2 where id = $1', [id, state])
  await client.query('update rowhouse.resident set state = $2 where tenant_id = $1', [id, state])
  return requireTenant(client, id)
}

export async function rotateKey(client: pg.PoolClient, rootKey: RootKey, tenant: string): Promise<RegisteredTenant> {
  await assertRootKey(client, rootKey)
  const { id, keyVersion } = await requireTenant(client, tenant, FOR_CHANGE)
  const { ipad, opad } = rootKey.deriveTenantKey(id, keyVersion + 1)
  await client.query(
    `update rowhouse.resident set old_key_version = key_version, old_ipad = ipad, old_opad = opad,
            key_version = $2, ipad = $3, opad = $4 where tenant_id = $1`,
    [id, keyVersion + 1, ipad, opad],
  )
  return requireTenant(client, id)
}

export async function retireOldKey(client: pg.PoolClient, tenant: string): Promise<RegisteredTenant> {
  const { id } = await requireTenant(client, tenant, FOR_CHANGE)
  const text =
    'update rowhouse.resident set old_key_version = null, old_ipad = null, old_opad = null where tenant_id = $1'
  await client.query(text, [id])
  return requireTenant(client, id)
}

export async function addDomain(client: pg.PoolClient, tenant: string, host: string): Promise<void> {
  const { id } = await requireTenant(client, tenant)
  await client.query('insert into rowhouse.domain (host, tenant_id) values ($1, $2)', [host, id]).catch((error) => {
    if (!violates(error, 'domain_pkey')) throw error
    throw new TenantError(
      'ERR_TENANT_DOMAIN_TAKEN',
      `Cannot give tenant "${tenant}" the domain "${host}": it leads to a tenant already; remove it there first`,
      { cause: error },
    )
  })
}

export async function removeDomain(client: pg.PoolClient, host: string): Promise<boolean> {
  return (await client.query('delete from rowhouse.domain where host = $1', [host])).rowCount === 1
}

/** Addresses are refused too: they belong to servers, and whoever has one today may not tomorrow. */
export function requireHostName(host: string): string {
  let name: string | undefined
  try {
    name = canonicalHost(host)
  } catch (error) {
    throw new RangeError(`Cannot use "${host}" as a domain: wanted a host name such as "freight.example.com"`, {
      cause: error,
    })
  }
  if (isIP(name.replace(/^\[|\]$/g, '')) === 0 && !host.includes(':')) return name
  throw new RangeError(`Cannot use "${host}" as a domain: wanted a host name without port, no address`)
}

function requireName(name: string, of: string): void {
  if (name.length >= 1 && name.length <= MAX_NAME_LENGTH) return
  throw new RangeError(`Cannot name a ${of} with ${name.length} characters: wanted 1 to ${MAX_NAME_LENGTH}`)
}

export function assertApiKey({ name, units, expiresAt }: ApiKeyToCreate): void {
  requireName(name, 'key')
  if (units?.length === 0) throw new RangeError('Cannot limit a key to no unit: leave units out, or name one')
  // Also false for a date that is none.
  if (expiresAt === undefined || expiresAt.getTime() > Date.now()) return
  throw new RangeError('Cannot create a key that has expired: wanted expiresAt in the future')
}

export async function addApiKey(
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

export async function revokeApiKey(client: pg.PoolClient, id: string): Promise<boolean> {
  const text = 'update rowhouse.api_key set revoked_at = now() where id = $1 and revoked_at is null'
  return (await client.query(text, [id])).rowCount === 1
}

export async function listCrossings(client: pg.PoolClient, limit: number): Promise<Crossing[]> {
  const { rows } = await client.query(
    `select id, opened_at as "openedAt", actor, reason, cardinality(tenants) as tenants, writes, outcome
       from rowhouse.crossing order by opened_at desc limit $1`,
    [limit],
  )
  return rows.map((row) => ({ ...row, outcome: row.outcome ?? undefined }))
}

function violates(error: unknown, constraint: string): boolean {
  const facts = error as { code?: unknown; constraint?: unknown }
  return facts.code === SQLSTATE.uniqueViolation && facts.constraint === constraint
}
