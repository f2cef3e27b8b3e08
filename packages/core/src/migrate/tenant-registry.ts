/** What stands in the registry, and the statements that change it. Each runs in a transaction as `rowhouse_owner`. */

import { isIP } from 'node:net'
import type pg from 'pg'
import { ConfigError, TenantError } from '../errors.ts'
import { RAISED, SQLSTATE } from '../postgres/sqlstate.ts'
import { createApiKey, type NewApiKey } from '../resolve/api-key.ts'
import { canonicalHost } from '../resolve/host.ts'
import type { RootKey } from '../seal/tenant-key.ts'
import { PLATFORM } from '../tenant/platform.ts'
import { requireSlug } from '../tenant/slug.ts'
import { type Tenant, type TenantRow, type TenantState, toTenant } from '../tenant/tenant.ts'
import { isTenantId, requireTenantId, requireUnitId, type TenantId } from '../tenant/tenant-id.ts'
import { atHome } from './home.ts'
import { createHoneyToken } from './honey-token.ts'

/** A tenant as the operator sees it. */
export interface RegisteredTenant extends Tenant {
  readonly name: string
  /** Migrations reach rings one after the other. */
  readonly ring: string
  /** True while the key before the current one is still accepted; undefined where the tenant lives in another database. */
  readonly oldKeyAccepted: boolean | undefined
  readonly createdAt: Date
}

export interface TenantToCreate {
  readonly slug: string
  /** Shown to people, 1 to 200 characters. @defaultValue the slug */
  readonly name?: string
  /** UUID, for tenants that exist elsewhere already. @defaultValue a new UUIDv7 */
  readonly id?: string
  /** @defaultValue 'standard' */
  readonly plan?: string
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
  select t.id, t.slug, t.name, t.state, t.plan, t.ring, p.server, p.model, p.database_name, p.schema_name, p.epoch, p.key_version,
         case when r.tenant_id is not null then r.old_key_version is not null end as old_key_accepted, t.created_at
    from rowhouse.tenant t
    join rowhouse.placement p on p.tenant_id = t.id
    left join rowhouse.resident r on r.tenant_id = t.id and p.server = 'main' and p.model <> 'database'`

interface RegisteredRow extends TenantRow {
  readonly name: string
  readonly ring: string
  readonly old_key_accepted: boolean | null
  readonly created_at: Date
}

function toRegistered(row: RegisteredRow): RegisteredTenant {
  const { name, ring, old_key_accepted, created_at } = row
  return { ...toTenant(row), name, ring, oldKeyAccepted: old_key_accepted ?? undefined, createdAt: created_at }
}

/** Two who change one tenant at the same time take turns: the second sees what the first one wrote. */
const FOR_CHANGE = ' for update of p'

export async function createTenant(
  client: pg.PoolClient,
  rootKey: RootKey,
  { slug, name = slug, id, plan = 'standard' }: TenantToCreate,
): Promise<RegisteredTenant> {
  requireSlug(slug)
  requireName(name, 'tenant')
  const tenantId = id === undefined ? await newId(client) : requireFreeId(id)
  await assertRootKey(client, rootKey)
  requirePlan(plan)
  const text = 'insert into rowhouse.tenant (id, slug, name, plan) values ($1, $2, $3, $4)'
  await client.query(text, [tenantId, slug, name, plan]).catch((error) => {
    throw explainTaken(error, slug, tenantId)
  })
  const { ipad, opad } = rootKey.deriveTenantKey(tenantId, FIRST_KEY_VERSION)
  await client.query('insert into rowhouse.resident (tenant_id, key_version, ipad, opad) values ($1, $2, $3, $4)', [
    tenantId,
    FIRST_KEY_VERSION,
    ipad,
    opad,
  ])
  const placed = 'insert into rowhouse.placement (tenant_id, key_version) values ($1, $2)'
  await client.query(placed, [tenantId, FIRST_KEY_VERSION])
  return requireTenant(client, tenantId)
}

/** The database refuses every seal of a suspended tenant, and no request is let in as one. */
export async function createDecoy(
  client: pg.PoolClient,
  centralUrl: string,
  rootKey: RootKey,
  tenant: DecoyToCreate,
): Promise<Decoy> {
  const { id } = await createTenant(client, rootKey, tenant)
  return { tenant: await setState(client, centralUrl, id, 'suspended'), honeyToken: createHoneyToken() }
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

function explainLifecycle(error: unknown, slug: string, now: TenantState, wanted: TenantState): unknown {
  if ((error as { constraint?: unknown }).constraint !== RAISED.tenantLifecycle) return error
  return new TenantError('ERR_TENANT_STATE', `Cannot make tenant "${slug}" ${wanted}: it is ${now}`, { cause: error })
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
  return (await client.query<RegisteredRow>(text, [after, limit])).rows.map(toRegistered)
}

export async function findTenant(
  client: pg.PoolClient,
  tenant: string,
  lock = '',
): Promise<RegisteredTenant | undefined> {
  const column = isTenantId(tenant) ? 'id' : 'slug'
  const { rows } = await client.query<RegisteredRow>(`${SELECT} where t.${column} = $1${lock}`, [tenant])
  return rows[0] && toRegistered(rows[0])
}

async function requireTenant(client: pg.PoolClient, tenant: string, lock = ''): Promise<RegisteredTenant> {
  const found = await findTenant(client, tenant, lock)
  if (found !== undefined) return found
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot find tenant "${tenant}": it does not exist`)
}

export async function setState(
  client: pg.PoolClient,
  centralUrl: string,
  tenant: string,
  state: TenantState,
): Promise<RegisteredTenant> {
  const { id, slug, placement, state: now } = await requireTenant(client, tenant, FOR_CHANGE)
  await client.query('update rowhouse.tenant set state = $2 where id = $1', [id, state]).catch((error) => {
    throw explainLifecycle(error, slug, now, state)
  })
  await atHome(client, centralUrl, placement, (home) =>
    home.query('update rowhouse.resident set state = $2 where tenant_id = $1', [id, state]),
  )
  return requireTenant(client, id)
}

export async function rotateKey(
  client: pg.PoolClient,
  centralUrl: string,
  rootKey: RootKey,
  tenant: string,
): Promise<RegisteredTenant> {
  await assertRootKey(client, rootKey)
  const { id, keyVersion, placement } = await requireTenant(client, tenant, FOR_CHANGE)
  const { ipad, opad } = rootKey.deriveTenantKey(id, keyVersion + 1)
  const text = `update rowhouse.resident set old_key_version = key_version, old_ipad = ipad, old_opad = opad,
                       key_version = $2, ipad = $3, opad = $4 where tenant_id = $1 and key_version < $2`
  await atHome(client, centralUrl, placement, (home) => home.query(text, [id, keyVersion + 1, ipad, opad]))
  const known = 'update rowhouse.placement set key_version = $2, changed_at = now() where tenant_id = $1'
  await client.query(known, [id, keyVersion + 1])
  return requireTenant(client, id)
}

export async function retireOldKey(
  client: pg.PoolClient,
  centralUrl: string,
  tenant: string,
): Promise<RegisteredTenant> {
  const { id, placement } = await requireTenant(client, tenant, FOR_CHANGE)
  const text =
    'update rowhouse.resident set old_key_version = null, old_ipad = null, old_opad = null where tenant_id = $1'
  await atHome(client, centralUrl, placement, (home) => home.query(text, [id]))
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

export async function listDomains(client: pg.PoolClient, tenant: string): Promise<string[]> {
  const { id } = await requireTenant(client, tenant)
  const text = 'select host from rowhouse.domain where tenant_id = $1 order by host'
  return (await client.query<{ host: string }>(text, [id])).rows.map(({ host }) => host)
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

/** The rule of the registry's column. @throws {RangeError} */
function requirePlan(plan: string): void {
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(plan)) return
  throw new RangeError(`Cannot use "${plan}" as a plan: wanted 1 to 63 lower-case letters, digits, "-" and "_"`)
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
