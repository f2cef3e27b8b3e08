import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { ConfigError, TenantError, UnavailableError } from 'rowhouse'
import type { RegisteredTenant, RootKey, TenantAdmin } from 'rowhouse/install'
import { findOpenMove } from '../move/move-record.ts'
import { assertUnbound } from '../registry/assert-unbound.ts'
import { CENTRAL, type OperatorConnections } from '../registry/operator-connections.ts'
import { PLAIN_TEXT } from '../tenant-data/checksum.ts'
import type { ArtefactStore } from './artefact-store.ts'
import { toBackupError } from './backup-error.ts'

/** What work on artefacts is done with. */
export interface BackupRoom {
  readonly connections: OperatorConnections
  readonly rootKey: RootKey
  readonly tenants: Pick<TenantAdmin, 'find'>
  readonly store: ArtefactStore
}

/** How long a restore waits for the tenant's running statements, in milliseconds. New ones are refused meanwhile. */
const FENCE_TIMEOUT_MS = 10_000

interface ResidentRow {
  readonly epoch: number
  readonly fenced: boolean
  readonly same: boolean
}

/** @throws {TenantError} `ERR_TENANT_NOT_FOUND` */
export async function requireTenant(
  { tenants }: Pick<BackupRoom, 'tenants'>,
  tenant: string,
): Promise<RegisteredTenant> {
  const found = await tenants.find(tenant)
  if (found !== undefined) return found
  throw new TenantError('ERR_TENANT_NOT_FOUND', `Cannot find tenant "${tenant}": it does not exist`)
}

/** Name of the schema a tenant's tables are in. */
export function schemaOf({ placement }: Pick<RegisteredTenant, 'placement'>): string {
  return placement.schema ?? 'public'
}

/** Runs `fn` on one snapshot of the tenant's home, in which nothing can be written. */
export function withSnapshot<T>(
  room: BackupRoom,
  tenant: RegisteredTenant,
  doing: string,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return inHome(room, tenant, doing, 'begin isolation level repeatable read read only', async (client) => {
    await assertLivesHere(room, client, tenant)
    return fn(client)
  })
}

/** As `withSnapshot`, with temporary tables. */
export function withScratchTables<T>(
  room: BackupRoom,
  tenant: RegisteredTenant,
  doing: string,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return inHome(room, tenant, doing, 'begin isolation level repeatable read', async (client) => {
    await assertLivesHere(room, client, tenant)
    return fn(client)
  })
}

/**
 * Runs `fn` while nobody else works as the tenant: the application's statements are refused as if it were being moved,
 * until the transaction ends. Triggers do not fire.
 */
export async function withFence<T>(
  room: BackupRoom,
  tenant: RegisteredTenant,
  doing: string,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  await assertNoMove(room, tenant)
  return inHome(room, tenant, doing, 'begin isolation level read committed', async (client) => {
    await client.query(`set local lock_timeout = ${FENCE_TIMEOUT_MS}`)
    await client.query('select pg_advisory_xact_lock($1)', [room.rootKey.deriveLockKey(tenant.id)])
    // Who waited for the lock may have waited for a move.
    const now = await requireTenant(room, tenant.id)
    if (now.epoch !== tenant.epoch) throw movedAway(tenant)
    // One that was entered since waits for this lock before it captures, and one that captures is seen here.
    await assertNoMove(room, tenant)
    await assertLivesHere(room, client, tenant)
    await client.query('set local lock_timeout = 0; set local session_replication_role = replica')
    return fn(client)
  })
}

/** What decides how values are read and written as text, and where names are looked up. */
export async function settle(client: pg.ClientBase, schema: string): Promise<void> {
  const path = schema === 'public' ? 'public' : `${escapeIdentifier(schema)}, public`
  await client.query(`${PLAIN_TEXT}; set local search_path = ${path}; set local statement_timeout = 0;
    set local idle_in_transaction_session_timeout = 0`)
}

/** Lets `tenant_id` be filled in by its default, as for the tenant's own statements; no policy believes this setting. */
export async function fillTenantId(client: pg.ClientBase, tenantId: string): Promise<void> {
  await client.query(`set local rowhouse.seal = ${escapeLiteral('0'.repeat(64) + tenantId)}`)
}

async function inHome<T>(
  { connections }: BackupRoom,
  tenant: RegisteredTenant,
  doing: string,
  begin: string,
  fn: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  try {
    // A connection that fails in between is closed, and PostgreSQL undoes the transaction.
    return await connections.use(tenant.placement, async (client) => {
      await client.query(begin)
      await settle(client, schemaOf(tenant))
      await assertUnbound(client, doing)
      const result = await fn(client)
      await client.query('commit')
      return result
    })
  } catch (error) {
    throw toBackupError(error, doing)
  }
}

/** The database decides where a tenant lives; and a key that is not its own would make an artefact nobody can open. */
async function assertLivesHere(
  { rootKey }: BackupRoom,
  client: pg.ClientBase,
  tenant: RegisteredTenant,
): Promise<void> {
  const { ipad, opad } = rootKey.deriveTenantKey(tenant.id, tenant.keyVersion)
  const { rows } = await client.query<ResidentRow>(
    `select epoch, state = 'fenced' as fenced, key_version = $2 and ipad = $3 and opad = $4 as same from rowhouse.resident where tenant_id = $1`,
    [tenant.id, tenant.keyVersion, ipad, opad],
  )
  // A home that is fenced has been left, or is being left, with the epoch it had: its rows may be being removed.
  if (rows[0]?.epoch !== tenant.epoch || rows[0].fenced) throw movedAway(tenant)
  if (rows[0].same) return
  throw new ConfigError(
    'ERR_CONFIG_INVALID',
    `Cannot work with backups of tenant "${tenant.slug}": the root key is not the one its database was installed with; set ROWHOUSE_ROOT_KEY to that one`,
    { tenantId: tenant.id },
  )
}

/** A move captures changes by triggers, and none fires for what a restore writes. */
async function assertNoMove({ connections }: BackupRoom, { id, slug }: RegisteredTenant): Promise<void> {
  const state = await connections.transact(CENTRAL, (client) => findOpenMove(client, id))
  if (state === undefined) return
  throw new UnavailableError(
    'ERR_TENANT_MOVING',
    `Cannot write a backup into tenant "${slug}": a move of it is ${state}; let it complete, or abort or revert it, then try again`,
    { tenantId: id },
  )
}

function movedAway({ slug, id }: RegisteredTenant): UnavailableError {
  return new UnavailableError(
    'ERR_TENANT_MOVING',
    `Cannot work on tenant "${slug}": its database says it lives elsewhere, or is being moved; try again`,
    { tenantId: id },
  )
}

/** Names the next artefact of a tenant: names sort by time, to the millisecond, which is in front of what is random. */
export function nameArtefact(tenantId: string, at: Date): { artefact: string; name: string } {
  const artefact = randomUUID()
  const stamp = `${at.toISOString().replaceAll(/[-:]/g, '').slice(0, 15)}Z`
  const millisecond = at.getMilliseconds().toString(16).padStart(3, '0')
  return { artefact, name: `${tenantId}/${stamp}-${millisecond}${artefact.slice(0, 5)}` }
}
